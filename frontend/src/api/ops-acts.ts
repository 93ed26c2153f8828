/** What operators did. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import type { Act, Acts } from "./ops-types";
import { isTime } from "./sales";
import { type Guard, isAnything, isText, listOf, orNull, shaped } from "./shape";

export function readActs(
  ops: OpsClient,
  query: { limit?: number },
  signal?: AbortSignal,
): Promise<Answer<Acts>> {
  return ops.get("/api/v1/ops/acts", isActs, { ...query }, signal);
}

const isAct: Guard<Act> = shaped({
  at: isTime,
  by: isText,
  action: isText,
  target: isText,
  reason: orNull(isText),
  detail: isAnything,
});

const isActs: Guard<Acts> = shaped({ acts: listOf(isAct) });
