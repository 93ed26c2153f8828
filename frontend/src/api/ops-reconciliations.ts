/** Comparisons of the three stores: the past ones, and a new one. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import type { Discrepancy, ReconcileMode, Reconciliation, Reconciliations } from "./ops-types";
import { isTime } from "./sales";
import { type Guard, isFlag, isNumber, isText, listOf, shaped } from "./shape";

const PATH = "/api/v1/ops/reconciliations";
/** What differs is looked at again after some seconds, so it may take half a minute. */
const RECONCILE_TIMEOUT_MS = 45_000;

export function readReconciliations(
  ops: OpsClient,
  query: { sku?: string; limit?: number },
  signal?: AbortSignal,
): Promise<Answer<Reconciliations>> {
  return ops.get(PATH, isReconciliations, { ...query }, signal);
}

/** Compares one sale, or all. */
export function reconcile(
  ops: OpsClient,
  wish: { sku?: string; mode: ReconcileMode },
): Promise<Answer<Reconciliations>> {
  return ops.post(PATH, isReconciliations, wish, RECONCILE_TIMEOUT_MS);
}

const isDiscrepancy: Guard<Discrepancy> = shaped({
  class: isText,
  subject: isText,
  detail: isText,
  repaired: isFlag,
});

export const isReconciliation: Guard<Reconciliation> = shaped({
  runId: isText,
  saleId: isText,
  sku: isText,
  finishedAt: isTime,
  mode: isText,
  trigger: isText,
  compared: isNumber,
  found: isNumber,
  repaired: isNumber,
  discrepancies: listOf(isDiscrepancy),
});

const isReconciliations: Guard<Reconciliations> = shaped({ reconciliations: listOf(isReconciliation) });
