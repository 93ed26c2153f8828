/** Sales as who runs them sees them. */

import type { Answer } from "./client";
import type { OpsClient } from "./ops-client";
import type { ReportSecond, SaleReport } from "./ops-types";
import { isChallengeKind, isEndReason, isSaleState, isTime } from "./sales";
import { type Guard, isFlag, isNumber, isText, listOf, orNull, recordOf, shaped } from "./shape";
import type { NewProduct, Product } from "./types";

const PATH = "/api/v1/products";
/** As many as the service gives at once. */
export const PRODUCTS_MAX = 200;

export function readProducts(ops: OpsClient, signal?: AbortSignal): Promise<Answer<Product[]>> {
  return ops.get(PATH, listOf(isProduct), { limit: PRODUCTS_MAX }, signal);
}

export function createProduct(ops: OpsClient, product: NewProduct): Promise<Answer<{ sku: string }>> {
  return ops.post(PATH, isCreated, product);
}

/** Stops a sale for now, or lets it go on. */
export function orderSale(ops: OpsClient, sku: string, action: "pause" | "resume"): Promise<Answer<Product>> {
  return ops.post(`${PATH}/${encodeURIComponent(sku)}/${action}`, isProduct, undefined);
}

export function readReport(ops: OpsClient, sku: string, signal?: AbortSignal): Promise<Answer<SaleReport>> {
  return ops.get(`/api/v1/ops/sales/${encodeURIComponent(sku)}/report`, isReport, {}, signal);
}

const isCreated: Guard<{ sku: string }> = shaped({ sku: isText });

const isProduct: Guard<Product> = shaped({
  sku: isText,
  productName: isText,
  initialStock: isNumber,
  startTime: isTime,
  endTime: isTime,
  createdAt: isTime,
  saleId: isText,
  challenge: isChallengeKind,
  state: orNull(isSaleState),
  paused: orNull(isFlag),
  currentStock: orNull(isNumber),
  totalPurchases: orNull(isNumber),
});

const isReportSecond: Guard<ReportSecond> = shaped({
  at: isTime,
  attempts: isNumber,
  accepted: isNumber,
  alreadyPurchased: isNumber,
  soldOut: isNumber,
  notActive: isNumber,
});

const isReport: Guard<SaleReport> = shaped({
  sku: isText,
  saleId: isText,
  productName: isText,
  state: orNull(isSaleState),
  endReason: orNull(isEndReason),
  initialStock: isNumber,
  sold: isNumber,
  startTime: isTime,
  endTime: isTime,
  firstAt: orNull(isTime),
  lastAt: orNull(isTime),
  timeToSellOutMs: orNull(isNumber),
  totals: shaped({
    attempts: isNumber,
    accepted: isNumber,
    alreadyPurchased: isNumber,
    soldOut: isNumber,
    notActive: recordOf(isNumber),
  }),
  perSecond: listOf(isReportSecond),
});
