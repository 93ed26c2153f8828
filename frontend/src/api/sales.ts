/** Reading sales: one by its SKU, and all. */

import { type Answer, isRecord, request } from "./client";
import type { Catalogue, ChallengeKind, EndReason, Sale, SaleState } from "./types";

const READ_TIMEOUT_MS = 5_000;

/** The status of one sale; with the `etag` of what the caller has, possibly `unchanged`. */
export function readSale(sku: string, etag?: string, signal?: AbortSignal): Promise<Answer<Sale>> {
  return request(`/api/v1/sales?sku=${encodeURIComponent(sku)}`, {
    timeoutMs: READ_TIMEOUT_MS,
    accept: isSale,
    ...(etag === undefined ? {} : { headers: { "If-None-Match": etag } }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Every sale: active ones first, then those to come, then those that ended. */
export function readCatalogue(signal?: AbortSignal): Promise<Answer<Catalogue>> {
  return request("/api/v1/catalogue", {
    timeoutMs: READ_TIMEOUT_MS,
    accept: isCatalogue,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Whether a refusal says that there is no such sale: an unknown SKU, or what cannot be one. */
export function saysNoSuchSale(status: number, code: string): boolean {
  return (status === 404 && code === "NOT_FOUND") || (status === 400 && code === "VALIDATION_ERROR");
}

const STATES: readonly string[] = ["UPCOMING", "ACTIVE", "ENDED"] satisfies SaleState[];
const END_REASONS: readonly string[] = ["SOLD_OUT", "TIME_EXPIRED"] satisfies EndReason[];
const CHALLENGES: readonly string[] = ["NONE", "PROOF_OF_WORK", "CAPTCHA"] satisfies ChallengeKind[];

export function isSaleState(value: unknown): value is SaleState {
  return typeof value === "string" && STATES.includes(value);
}

export function isEndReason(value: unknown): value is EndReason {
  return typeof value === "string" && END_REASONS.includes(value);
}

export function isChallengeKind(value: unknown): value is ChallengeKind {
  return typeof value === "string" && CHALLENGES.includes(value);
}

export function isUnits(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function isTime(value: unknown): value is string {
  return typeof value === "string" && !Number.isNaN(Date.parse(value));
}

export function isSale(value: unknown): value is Sale {
  return (
    isRecord(value) &&
    typeof value.sku === "string" &&
    typeof value.productName === "string" &&
    isSaleState(value.state) &&
    isUnits(value.stock) &&
    isUnits(value.initialStock) &&
    isTime(value.startTime) &&
    isTime(value.endTime) &&
    isTime(value.serverTime) &&
    (value.endReason === undefined || isEndReason(value.endReason)) &&
    (value.challenge === undefined || isChallengeKind(value.challenge))
  );
}

function isCatalogue(value: unknown): value is Catalogue {
  return (
    isRecord(value) &&
    isTime(value.serverTime) &&
    Array.isArray(value.sales) &&
    value.sales.every((sale) => isSale(sale))
  );
}
