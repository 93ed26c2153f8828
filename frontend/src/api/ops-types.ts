/** What the operators' console uses of the service's document, by the names it uses. */

/** Where a sale stands, as an operator sees it. */
export interface SaleOverview {
  sku: string;
  saleId: string;
  productName: string;
  state: "UPCOMING" | "ACTIVE" | "ENDED";
  endReason: string | null;
  paused: boolean;
  initialStock: number;
  sold: number;
  stock: number;
  startTime: string;
  endTime: string;
  outbox: number | null;
  soldPerSecond: number;
}

/** What was decided within one second, and how long it took from the edge to the log. */
export interface DecisionSecond {
  at: string;
  accepted: number;
  alreadyPurchased: number;
  soldOut: number;
  notActive: number;
  p50Ms: number | null;
  p99Ms: number | null;
}

export interface Overview {
  at: string;
  sales: SaleOverview[];
  decisions: { seconds: DecisionSecond[] };
  deadLetters: { open: number | null };
  outbox: { entries: number | null };
  lastReconciliation: Reconciliation | null;
}

export type Verdict = "OK" | "WARN" | "STALL" | "STOP" | "REWIND" | "UNKNOWN";

export interface TopicPartition {
  topic: string;
  partition: number;
}

export interface ConsumerMember {
  memberId: string;
  clientId: string;
  host: string;
  partitions: TopicPartition[];
}

export interface ConsumerPartition {
  topic: string;
  partition: number;
  owner: string | null;
  /** On the broker. */
  committed: number | null;
  /** With the rows in Postgres; only the Postgres sink has it. */
  stored: number | null;
  /** The one that counts. */
  position: number | null;
  end: number | null;
  lagRecords: number | null;
  lagSeconds: number | null;
  perSecond: number | null;
  verdict: Verdict;
  why: string;
  paused: boolean;
}

export interface ConsumerOrder {
  action: "PAUSE" | "RESUME" | "RUN_TO";
  /** Empty: all. */
  partitions: number[];
  untilOffset: number | null;
  issuedBy: string;
  issuedAt: string;
}

export interface Consumer {
  name: string;
  ours: boolean;
  state: "STABLE" | "EMPTY" | "REBALANCING" | "DEAD" | "UNKNOWN";
  members: ConsumerMember[];
  partitions: ConsumerPartition[];
  lagRecords: number | null;
  lagSeconds: number | null;
  perSecond: number | null;
  verdict: Verdict;
  why: string;
  paused: "NONE" | "SOME" | "ALL";
  order: ConsumerOrder | null;
}

export interface Consumers {
  at: string;
  windowSeconds: number;
  consumers: Consumer[];
}

export interface OrderGiven {
  order: ConsumerOrder | null;
}

export interface ResetRequest {
  to: "earliest" | "latest" | "offset" | "time" | "group";
  offset?: number;
  time?: string;
  group?: string;
  topic?: string;
  partitions?: number[];
  dryRun?: boolean;
}

export interface ResetPartition {
  topic: string;
  partition: number;
  from: number | null;
  to: number;
  replays: number;
  skips: number;
}

export interface ResetPlan {
  dryRun: boolean;
  members: number;
  partitions: ResetPartition[];
  replays: number;
  skips: number;
  warnings: string[];
}

export interface TopicDrift {
  setting: string;
  wanted: unknown;
  actual: unknown;
}

export interface TopicDescription {
  name: string;
  /** None: no paper describes it. */
  summary: string | null;
  internal: boolean;
  partitions: { partition: number; first: number; end: number }[];
  records: number;
  replication: number;
  settings: Record<string, unknown>;
  /** Empty: it is as its paper says. */
  drift: TopicDrift[];
}

export interface Topics {
  topics: TopicDescription[];
}

export interface Message {
  partition: number;
  offset: number;
  timestamp: string;
  key: string | null;
  headers: Record<string, unknown>;
  value: unknown;
  hex: string | null;
  schemaId: number | null;
  problem: string | null;
}

export interface Messages {
  topic: string;
  messages: Message[];
  scanned: number;
  /** By the number of the partition: where to go on. */
  next: Record<string, number> | null;
}

export interface DeadLetterGroup {
  class: string;
  consumer: string;
  /** Of the newest. */
  message: string;
  count: number;
  firstSeen: string;
  lastSeen: string;
}

export interface DeadLetter {
  id: string;
  state: "OPEN" | "REDRIVEN" | "DISCARDED";
  class: string;
  message: string;
  consumer: string;
  attempts: number;
  firstSeen: string;
  lastSeen: string;
  source: { topic: string; partition: number; offset: number };
  key: string | null;
  act: { action: string; by: string; at: string; reason: string | null } | null;
}

export interface DeadLetterDetail extends DeadLetter {
  headers: Record<string, unknown>;
  value: unknown;
  hex: string | null;
  schemaId: number | null;
  problem: string | null;
}

export interface DeadLetters {
  open: number;
  redriven: number;
  discarded: number;
  groups: DeadLetterGroup[];
  letters: DeadLetter[];
  more: boolean;
}

/** Which letters: exactly one of these. */
export type LetterSelection = { ids: string[] } | { class: string } | { all: true };

export type RedriveVerdict =
  | "WOULD_APPLY"
  | "WOULD_BE_DUPLICATE"
  | "STILL_FAILING"
  | "NOT_OPEN"
  | "UNKNOWN_LETTER";

export interface RedriveLetter {
  id: string;
  verdict: RedriveVerdict;
  detail: string | null;
  sent: boolean;
}

export interface RedriveResult {
  dryRun: boolean;
  letters: RedriveLetter[];
  wouldApply: number;
  wouldBeDuplicate: number;
  stillFailing: number;
  notOpen: number;
  sent: number;
}

export interface DiscardResult {
  dryRun: boolean;
  letters: { id: string; verdict: "WOULD_DISCARD" | "NOT_OPEN" | "UNKNOWN_LETTER" }[];
  discarded: number;
}

/** Something that an operator did. */
export interface Act {
  at: string;
  by: string;
  action: string;
  target: string;
  reason: string | null;
  detail: unknown;
}

export interface Acts {
  acts: Act[];
}

export interface Discrepancy {
  class: string;
  subject: string;
  detail: string;
  repaired: boolean;
}

export type ReconcileMode = "DRY_RUN" | "REPAIR";

export interface Reconciliation {
  runId: string;
  saleId: string;
  sku: string;
  finishedAt: string;
  mode: ReconcileMode;
  trigger: string;
  compared: number;
  found: number;
  repaired: number;
  discrepancies: Discrepancy[];
}

export interface Reconciliations {
  reconciliations: Reconciliation[];
}

export interface ReportSecond {
  at: string;
  attempts: number;
  accepted: number;
  alreadyPurchased: number;
  soldOut: number;
  notActive: number;
}

export interface SaleReport {
  sku: string;
  saleId: string;
  productName: string;
  state: "UPCOMING" | "ACTIVE" | "ENDED";
  endReason: string | null;
  initialStock: number;
  sold: number;
  startTime: string;
  endTime: string;
  firstAt: string | null;
  lastAt: string | null;
  timeToSellOutMs: number | null;
  totals: {
    attempts: number;
    accepted: number;
    alreadyPurchased: number;
    soldOut: number;
    /** By the reason. */
    notActive: Record<string, number>;
  };
  /** Only seconds with attempts. */
  perSecond: ReportSecond[];
}
