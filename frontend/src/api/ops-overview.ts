/** How everything is right now. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import { isReconciliation } from "./ops-reconciliations";
import type { DecisionSecond, Overview, SaleOverview } from "./ops-types";
import { isEndReason, isSaleState, isTime } from "./sales";
import { type Guard, isFlag, isNumber, isText, listOf, orNull, shaped } from "./shape";

export function readOverview(ops: OpsClient, signal?: AbortSignal): Promise<Answer<Overview>> {
  return ops.get("/api/v1/ops/overview", isOverview, {}, signal);
}

const isSaleOverview: Guard<SaleOverview> = shaped({
  sku: isText,
  saleId: isText,
  productName: isText,
  state: isSaleState,
  endReason: orNull(isEndReason),
  paused: isFlag,
  initialStock: isNumber,
  sold: isNumber,
  stock: isNumber,
  startTime: isTime,
  endTime: isTime,
  outbox: orNull(isNumber),
  soldPerSecond: isNumber,
});

const isDecisionSecond: Guard<DecisionSecond> = shaped({
  at: isTime,
  accepted: isNumber,
  alreadyPurchased: isNumber,
  soldOut: isNumber,
  notActive: isNumber,
  p50Ms: orNull(isNumber),
  p99Ms: orNull(isNumber),
});

const isOverview: Guard<Overview> = shaped({
  at: isTime,
  sales: listOf(isSaleOverview),
  decisions: shaped({ seconds: listOf(isDecisionSecond) }),
  deadLetters: shaped({ open: orNull(isNumber) }),
  outbox: shaped({ entries: orNull(isNumber) }),
  lastReconciliation: orNull(isReconciliation),
});
