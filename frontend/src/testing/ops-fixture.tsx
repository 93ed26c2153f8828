import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { OpsClient } from "../api/ops-client";
import type {
  Consumer,
  ConsumerOrder,
  ConsumerPartition,
  Consumers,
  DeadLetter,
  DeadLetters,
  Message,
  Overview,
  Reconciliation,
  RedrivePlan,
  ResetPlan,
  SaleOverview,
  SaleReport,
  TopicDescription,
} from "../api/ops-types";
import type { Product } from "../api/types";
import { LagHistory } from "../pages/ops/live/lag-history";
import { type Workplace, WorkplaceContext } from "../pages/ops/workplace";

export const OPS = "/api/v1/ops";
export const NOON = "2026-11-23T12:00:00.000Z";

/** Draws a part of the console for somebody who has signed in, at an address. */
export function renderOps(part: ReactNode, address = "/ops"): Workplace {
  history.replaceState(null, "", address);
  const workplace = { ops: new OpsClient({ key: "secret", operator: "ann" }), lag: new LagHistory() };
  render(<WorkplaceContext value={workplace}>{part}</WorkplaceContext>);
  return workplace;
}

export function saleOverviewFixture(different: Partial<SaleOverview> = {}): SaleOverview {
  return {
    sku: "DEMO",
    saleId: "S1",
    productName: "Demo phone",
    state: "ACTIVE",
    endReason: null,
    paused: false,
    initialStock: 100,
    sold: 58,
    stock: 42,
    startTime: NOON,
    endTime: "2026-11-23T13:00:00.000Z",
    outbox: 0,
    soldPerSecond: 2.5,
    ...different,
  };
}

export function overviewFixture(different: Partial<Overview> = {}): Overview {
  return {
    at: NOON,
    sales: [saleOverviewFixture()],
    decisions: {
      seconds: [
        { at: NOON, accepted: 3, alreadyPurchased: 1, soldOut: 0, notActive: 0, p50Ms: 4, p99Ms: 12 },
        {
          at: "2026-11-23T12:00:01.000Z",
          accepted: 0,
          alreadyPurchased: 0,
          soldOut: 0,
          notActive: 0,
          p50Ms: null,
          p99Ms: null,
        },
      ],
    },
    deadLetters: { open: 2 },
    outbox: { entries: 0 },
    lastReconciliation: reconciliationFixture(),
    ...different,
  };
}

export function partitionFixture(different: Partial<ConsumerPartition> = {}): ConsumerPartition {
  return {
    topic: "decisions",
    partition: 0,
    owner: "sink-1",
    committed: 90,
    stored: 95,
    position: 95,
    end: 100,
    lagRecords: 5,
    lagSeconds: 1.5,
    perSecond: 20,
    verdict: "OK",
    why: "it keeps up",
    paused: false,
    ...different,
  };
}

export function consumerFixture(different: Partial<Consumer> = {}): Consumer {
  return {
    name: "sink",
    ours: true,
    state: "STABLE",
    members: [
      {
        memberId: "m-1",
        clientId: "sink-1",
        host: "/127.0.0.1",
        partitions: [{ topic: "decisions", partition: 0 }],
      },
    ],
    partitions: [partitionFixture()],
    lagRecords: 5,
    lagSeconds: 1.5,
    perSecond: 20,
    verdict: "OK",
    why: "it keeps up",
    paused: "NONE",
    order: null,
    ...different,
  };
}

export function consumersAnswer(...consumers: Consumer[]): Consumers {
  return { at: NOON, windowSeconds: 30, problem: null, consumers };
}

export function orderFixture(different: Partial<ConsumerOrder> = {}): ConsumerOrder {
  return {
    action: "PAUSE",
    partitions: [],
    untilOffset: null,
    issuedBy: "bob",
    issuedAt: NOON,
    ...different,
  };
}

export function resetPlanFixture(different: Partial<ResetPlan> = {}): ResetPlan {
  return {
    consumer: "sink",
    dryRun: true,
    members: 0,
    partitions: [{ topic: "decisions", partition: 0, from: 95, to: 0, replays: 95, skips: 0 }],
    replays: 95,
    skips: 0,
    warnings: ["Rows are written again."],
    ...different,
  };
}

export function topicFixture(different: Partial<TopicDescription> = {}): TopicDescription {
  return {
    name: "decisions",
    summary: "What was decided.",
    internal: false,
    partitions: [{ partition: 0, first: 3, end: 100 }],
    records: 97,
    replication: 1,
    settings: { "retention.ms": "1000" },
    drift: [],
    ...different,
  };
}

export function messageFixture(different: Partial<Message> = {}): Message {
  return {
    partition: 0,
    offset: 7,
    timestamp: NOON,
    key: "DEMO:alice",
    headers: { traceparent: "00-1" },
    value: { sku: "DEMO", outcome: "ACCEPTED" },
    hex: null,
    schemaId: 4,
    problem: null,
    ...different,
  };
}

export function letterFixture(different: Partial<DeadLetter> = {}): DeadLetter {
  return {
    id: "0-7",
    state: "OPEN",
    class: "bad_magic",
    message: "first byte is 7",
    consumer: "sink-postgres",
    attempts: 1,
    firstSeen: NOON,
    lastSeen: NOON,
    source: { topic: "decisions", partition: 0, offset: 77 },
    key: "DEMO:bob",
    act: null,
    ...different,
  };
}

export function deadLettersFixture(...letters: DeadLetter[]): DeadLetters {
  const [first = letterFixture()] = letters;
  const { class: cause, consumer, message, firstSeen, lastSeen } = first;
  const groups = [{ class: cause, consumer, message, count: letters.length, firstSeen, lastSeen }];
  return {
    open: letters.length,
    redriven: 0,
    discarded: 0,
    groups: letters.length === 0 ? [] : groups,
    letters,
    more: false,
  };
}

export function redriveFixture(different: Partial<RedrivePlan> = {}): RedrivePlan {
  return {
    dryRun: true,
    letters: [
      { id: "0-7", verdict: "WOULD_APPLY", detail: null, sent: false },
      { id: "0-8", verdict: "STILL_FAILING", detail: "first byte is 7", sent: false },
    ],
    wouldApply: 1,
    wouldBeDuplicate: 0,
    stillFailing: 1,
    notOpen: 0,
    sent: 0,
    more: false,
    ...different,
  };
}

export function reconciliationFixture(different: Partial<Reconciliation> = {}): Reconciliation {
  return {
    runId: "R1",
    saleId: "S1",
    sku: "DEMO",
    finishedAt: NOON,
    mode: "DRY_RUN",
    trigger: "DEMAND",
    compared: 58,
    found: 0,
    repaired: 0,
    discrepancies: [],
    ...different,
  };
}

export function productFixture(different: Partial<Product> = {}): Product {
  return {
    sku: "DEMO",
    saleId: "S1",
    productName: "Demo phone",
    challenge: "NONE",
    initialStock: 100,
    startTime: NOON,
    endTime: "2026-11-23T13:00:00.000Z",
    createdAt: NOON,
    state: "ACTIVE",
    paused: false,
    currentStock: 42,
    totalPurchases: 58,
    ...different,
  };
}

export function reportFixture(different: Partial<SaleReport> = {}): SaleReport {
  return {
    sku: "DEMO",
    saleId: "S1",
    productName: "Demo phone",
    state: "ENDED",
    endReason: "SOLD_OUT",
    initialStock: 100,
    sold: 100,
    startTime: NOON,
    endTime: "2026-11-23T13:00:00.000Z",
    firstAt: NOON,
    lastAt: "2026-11-23T12:00:09.000Z",
    timeToSellOutMs: 8_500,
    totals: {
      attempts: 400,
      accepted: 100,
      alreadyPurchased: 50,
      soldOut: 200,
      notActive: { NOT_STARTED: 50 },
    },
    perSecond: [
      { at: NOON, attempts: 300, accepted: 100, alreadyPurchased: 50, soldOut: 100, notActive: 50 },
      {
        at: "2026-11-23T12:00:09.000Z",
        attempts: 100,
        accepted: 0,
        alreadyPurchased: 0,
        soldOut: 100,
        notActive: 0,
      },
    ],
    ...different,
  };
}
