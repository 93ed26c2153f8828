/** Records that a consumer could not use: looking at them, sending them again, and giving them up. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import type {
  DeadLetter,
  DeadLetterDetail,
  DeadLetterGroup,
  DeadLetters,
  DiscardPlan,
  LetterSelection,
  PlannedLetter,
  RedrivePlan,
} from "./ops-types";
import { isTime } from "./sales";
import {
  type Guard,
  isAnything,
  isFlag,
  isNumber,
  isText,
  listOf,
  oneOf,
  orNull,
  recordOf,
  shaped,
} from "./shape";

const PATH = "/api/v1/ops/dlq";
/** Each letter is tried against the stores, one after the other. */
const ACT_TIMEOUT_MS = 60_000;

export interface LetterQuery {
  state?: string;
  class?: string;
  limit?: number;
}

export function readDeadLetters(
  ops: OpsClient,
  query: LetterQuery,
  signal?: AbortSignal,
): Promise<Answer<DeadLetters>> {
  return ops.get(PATH, isDeadLetters, { ...query }, signal);
}

export function readDeadLetter(
  ops: OpsClient,
  id: string,
  signal?: AbortSignal,
): Promise<Answer<DeadLetterDetail>> {
  return ops.get(`${PATH}/${encodeURIComponent(id)}`, isDeadLetterDetail, {}, signal);
}

/** What sending them again would do, or does. */
export function redrive(
  ops: OpsClient,
  letters: LetterSelection,
  { dryRun, includeFailing = false }: { dryRun: boolean; includeFailing?: boolean },
): Promise<Answer<RedrivePlan>> {
  return ops.post(`${PATH}/redrive`, isRedrivePlan, { ...letters, dryRun, includeFailing }, ACT_TIMEOUT_MS);
}

/** Which would be given up, or gives them up. */
export function discard(
  ops: OpsClient,
  letters: LetterSelection,
  { dryRun, reason }: { dryRun: boolean; reason: string },
): Promise<Answer<DiscardPlan>> {
  return ops.post(`${PATH}/discard`, isDiscardPlan, { ...letters, reason, dryRun }, ACT_TIMEOUT_MS);
}

const letterFields = {
  id: isText,
  state: oneOf("OPEN", "REDRIVEN", "DISCARDED"),
  class: isText,
  message: isText,
  consumer: isText,
  attempts: isNumber,
  firstSeen: isTime,
  lastSeen: isTime,
  source: orNull(shaped({ topic: isText, partition: isNumber, offset: isNumber })),
  key: orNull(isText),
  act: orNull(shaped({ action: isText, by: isText, at: isTime, reason: orNull(isText) })),
};

const isDeadLetter: Guard<DeadLetter> = shaped(letterFields);

const isDeadLetterDetail: Guard<DeadLetterDetail> = shaped({
  ...letterFields,
  headers: recordOf(isText),
  value: isAnything,
  hex: orNull(isText),
  schemaId: orNull(isNumber),
  problem: orNull(isText),
});

const isGroup: Guard<DeadLetterGroup> = shaped({
  class: isText,
  consumer: isText,
  message: isText,
  count: isNumber,
  firstSeen: isTime,
  lastSeen: isTime,
});

const isDeadLetters: Guard<DeadLetters> = shaped({
  open: isNumber,
  redriven: isNumber,
  discarded: isNumber,
  groups: listOf(isGroup),
  letters: listOf(isDeadLetter),
  more: isFlag,
});

const isPlannedLetter: Guard<PlannedLetter> = shaped({
  id: isText,
  verdict: oneOf(
    "WOULD_APPLY",
    "WOULD_BE_DUPLICATE",
    "STILL_FAILING",
    "WOULD_DISCARD",
    "NOT_OPEN",
    "UNKNOWN_LETTER",
  ),
  detail: orNull(isText),
  sent: isFlag,
});

const isRedrivePlan: Guard<RedrivePlan> = shaped({
  dryRun: isFlag,
  letters: listOf(isPlannedLetter),
  wouldApply: isNumber,
  wouldBeDuplicate: isNumber,
  stillFailing: isNumber,
  notOpen: isNumber,
  sent: isNumber,
  more: isFlag,
});

const isDiscardPlan: Guard<DiscardPlan> = shaped({
  dryRun: isFlag,
  letters: listOf(isPlannedLetter),
  discarded: isNumber,
  more: isFlag,
});
