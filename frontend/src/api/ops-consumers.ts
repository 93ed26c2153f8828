/** Consumers of the log: how far each is, and orders to them. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import type {
  Consumer,
  ConsumerMember,
  ConsumerOrder,
  ConsumerPartition,
  Consumers,
  OrderGiven,
  ResetPartition,
  ResetPlan,
  ResetRequest,
} from "./ops-types";
import { isTime } from "./sales";
import { type Guard, isFlag, isNumber, isText, listOf, oneOf, orNull, shaped } from "./shape";

const PATH = "/api/v1/ops/consumers";

export function readConsumers(ops: OpsClient, signal?: AbortSignal): Promise<Answer<Consumers>> {
  return ops.get(PATH, isConsumers, {}, signal);
}

/** Stops a consumer, or lets it go on; without `partitions` all of it. */
export function orderConsumer(
  ops: OpsClient,
  name: string,
  action: "pause" | "resume",
  partitions?: number[],
): Promise<Answer<OrderGiven>> {
  const body = partitions === undefined ? {} : { partitions };
  return ops.post(`${PATH}/${encodeURIComponent(name)}/${action}`, isOrderGiven, body);
}

/** What a reset would do, or does. */
export function resetConsumer(
  ops: OpsClient,
  name: string,
  wish: ResetRequest & { dryRun: boolean },
): Promise<Answer<ResetPlan>> {
  return ops.post(`${PATH}/${encodeURIComponent(name)}/reset`, isResetPlan, wish);
}

/** Whether a refusal says that a group with members cannot be reset. */
export function saysRunning(status: number, code: string): boolean {
  return status === 409 && code === "CONSUMER_RUNNING";
}

const isVerdict = oneOf("OK", "WARN", "STALL", "STOP", "REWIND", "UNKNOWN");

const isPartition: Guard<ConsumerPartition> = shaped({
  topic: isText,
  partition: isNumber,
  owner: orNull(isText),
  committed: orNull(isNumber),
  stored: orNull(isNumber),
  position: orNull(isNumber),
  end: orNull(isNumber),
  lagRecords: orNull(isNumber),
  lagSeconds: orNull(isNumber),
  perSecond: orNull(isNumber),
  verdict: isVerdict,
  why: isText,
  paused: isFlag,
});

const isMember: Guard<ConsumerMember> = shaped({
  memberId: isText,
  clientId: isText,
  host: isText,
  partitions: listOf(shaped({ topic: isText, partition: isNumber })),
});

const isOrder: Guard<ConsumerOrder> = shaped({
  action: isText,
  partitions: listOf(isNumber),
  untilOffset: orNull(isNumber),
  issuedBy: isText,
  issuedAt: isTime,
});

const isConsumer: Guard<Consumer> = shaped({
  name: isText,
  ours: isFlag,
  state: isText,
  members: listOf(isMember),
  partitions: listOf(isPartition),
  lagRecords: orNull(isNumber),
  lagSeconds: orNull(isNumber),
  perSecond: orNull(isNumber),
  verdict: isVerdict,
  why: isText,
  paused: oneOf("NONE", "SOME", "ALL"),
  order: orNull(isOrder),
});

const isConsumers: Guard<Consumers> = shaped({
  at: orNull(isTime),
  problem: orNull(isText),
  windowSeconds: isNumber,
  consumers: listOf(isConsumer),
});

const isOrderGiven: Guard<OrderGiven> = shaped({ consumer: isText, order: isOrder });

const isResetPartition: Guard<ResetPartition> = shaped({
  topic: isText,
  partition: isNumber,
  from: orNull(isNumber),
  to: isNumber,
  replays: isNumber,
  skips: isNumber,
});

const isResetPlan: Guard<ResetPlan> = shaped({
  consumer: isText,
  dryRun: isFlag,
  members: isNumber,
  partitions: listOf(isResetPartition),
  replays: isNumber,
  skips: isNumber,
  warnings: listOf(isText),
});
