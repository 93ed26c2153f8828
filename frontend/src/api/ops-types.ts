/** What the operators' console uses of the OpenAPI document, by the names it uses: as `types.ts` has them for the shop. */

import type { components } from "./schema";

type Schemas = components["schemas"];

/** The document calls any JSON an object, which it need not be. */
type AnyJson<T, Field extends keyof T> = Omit<T, Field> & { [Name in Field]: unknown };

export type Overview = Schemas["Overview"];
export type SaleOverview = Schemas["SaleGlance"];
export type DecisionSecond = Schemas["DecisionSecond"];

export type Consumers = Schemas["Consumers"];
export type Consumer = Schemas["Consumer"];
export type ConsumerMember = Schemas["ConsumerMember"];
export type ConsumerPartition = Schemas["ConsumerPartition"];
export type ConsumerOrder = Schemas["ConsumerOrder"];
export type Verdict = Schemas["ConsumerVerdict"];
export type OrderGiven = Schemas["Steered"];

/** Whether it is a dry run is said beside it. */
export type ResetRequest = Omit<Schemas["ResetBody"], "dryRun">;
export type ResetPlan = Schemas["ResetPlan"];
export type ResetPartition = Schemas["ResetMove"];

export type Topics = Schemas["Topics"];
export type TopicDescription = Schemas["TopicView"];
export type TopicDrift = Schemas["TopicDrift"];
export type Message = AnyJson<Schemas["Message"], "value">;
export type Messages = Omit<Schemas["Messages"], "messages"> & { messages: Message[] };

export type DeadLetters = Schemas["Letters"];
export type DeadLetterGroup = Schemas["LetterCause"];
export type DeadLetter = Schemas["Letter"];
export type DeadLetterDetail = DeadLetter & AnyJson<Schemas["LetterRecord"], "value">;
/** Which letters: exactly one of these. */
export type LetterSelection = { ids: string[] } | { class: string } | { all: true };
export type LetterVerdict = Schemas["LetterVerdict"];
export type PlannedLetter = Schemas["PlannedLetter"];
export type RedrivePlan = Schemas["RedrivePlan"];
export type DiscardPlan = Schemas["DiscardPlan"];

/** Something that an operator did. */
export type Act = AnyJson<Schemas["OperatorAct"], "detail">;
export interface Acts {
  acts: Act[];
}

export type Discrepancy = Schemas["Discrepancy"];
export type Reconciliation = Schemas["Reconciliation"];
export type Reconciliations = Schemas["Reconciliations"];
export type ReconcileMode = Schemas["Mode"];

export type SaleReport = Schemas["SaleReport"];
export type ReportSecond = Schemas["ReportSecond"];
