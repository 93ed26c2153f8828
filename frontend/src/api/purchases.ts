/** Buying one unit, and looking up who holds what. */

import { type Challenge, isChallenge } from "./challenges";
import { headerText, isRecord, type Refusal, request } from "./client";
import { isTime } from "./sales";
import type { PurchaseAttempt, Receipt } from "./types";

/** FE-8: after this the answer is awaited no longer, and the same key is sent again. */
export const PURCHASE_TIMEOUT_MS = 8_000;
const READ_TIMEOUT_MS = 5_000;

/** One click on "Buy now". The key stays the same over all its repetitions. */
export interface Attempt {
  sku: string;
  user: string;
  key: string;
}

export type NotActiveReason = "NOT_STARTED" | "TIME_EXPIRED" | "PAUSED" | "SALE_REPLACED" | "NO_SALE";

/** What one sending of an attempt came to. */
export type Reply =
  | { kind: "purchased" | "pending" | "already-purchased"; receipt: Receipt }
  | { kind: "sold-out" }
  | { kind: "not-active"; reason: NotActiveReason }
  /** The service takes no such identifier, or no such request. */
  | { kind: "invalid"; field: "user" | "request" }
  /** The sale asks for an answer to this first; none when the service did not say to what. */
  | { kind: "challenged"; challenge: Challenge | undefined }
  /** Nothing was decided. */
  | { kind: "rate-limited"; retryAfterMs: number }
  /** Cannot decide now; the attempt may or may not have been decided. */
  | { kind: "busy"; retryAfterMs: number }
  /** No answer; the attempt may or may not have been decided. */
  | { kind: "silence" };

const SECOND_MS = 1_000;

/** `challengeResponse` is the answer to the challenge of the sale, if that has one. */
export async function purchase(
  attempt: Attempt,
  signal?: AbortSignal,
  challengeResponse?: string,
): Promise<Reply> {
  const body: PurchaseAttempt = { sku: attempt.sku };
  const answer = await request("/api/v1/purchases", {
    method: "POST",
    headers: {
      "X-User-Id": headerText(attempt.user),
      "Idempotency-Key": attempt.key,
      ...(challengeResponse === undefined ? {} : { "X-Challenge-Response": challengeResponse }),
    },
    json: body,
    timeoutMs: PURCHASE_TIMEOUT_MS,
    accept: isReceipt,
    ...(signal === undefined ? {} : { signal }),
  });
  switch (answer.kind) {
    case "success":
      return { kind: answer.status === 202 ? "pending" : "purchased", receipt: receiptOf(answer.data) };
    case "refusal":
      return refused(answer);
    default:
      return { kind: "silence" };
  }
}

function refused({ status, error, retryAfterMs = SECOND_MS }: Refusal): Reply {
  if (status === 429) return { kind: "rate-limited", retryAfterMs };
  if (status === 503) return { kind: "busy", retryAfterMs };
  if (status >= 500) return { kind: "silence" };
  switch (error.code) {
    case "SOLD_OUT":
      return { kind: "sold-out" };
    case "SALE_NOT_ACTIVE":
      return { kind: "not-active", reason: reasonOf(error.reason) };
    case "ALREADY_PURCHASED":
      // Without its receipt this is no answer to show; the repetition will bring it.
      return isReceipt(error.purchase)
        ? { kind: "already-purchased", receipt: receiptOf(error.purchase) }
        : { kind: "silence" };
    case "CHALLENGE_REQUIRED":
    case "CHALLENGE_FAILED":
      return {
        kind: "challenged",
        challenge: isChallenge(error.challenge) ? error.challenge : undefined,
      };
    case "NOT_FOUND":
      return { kind: "not-active", reason: "NO_SALE" };
    default:
      return {
        kind: "invalid",
        field: isRecord(error.fields) && "userId" in error.fields ? "user" : "request",
      };
  }
}

function reasonOf(reason: unknown): NotActiveReason {
  switch (reason) {
    case "TIME_EXPIRED":
    case "PAUSED":
    case "SALE_REPLACED":
      return reason;
    default:
      return "NOT_STARTED";
  }
}

/** The receipt of `user`; `none` only when the service knows that there is none. */
export async function readReceipt(
  sku: string,
  user: string,
  signal?: AbortSignal,
): Promise<{ kind: "held"; receipt: Receipt } | { kind: "none" } | { kind: "unknown" }> {
  const answer = await request(`/api/v1/purchases?sku=${encodeURIComponent(sku)}`, {
    headers: { "X-User-Id": headerText(user) },
    timeoutMs: READ_TIMEOUT_MS,
    accept: isReceipt,
    ...(signal === undefined ? {} : { signal }),
  });
  if (answer.kind === "success") return { kind: "held", receipt: receiptOf(answer.data) };
  const isNone = answer.kind === "refusal" && answer.status === 404 && answer.error.code === "NOT_FOUND";
  return { kind: isNone ? "none" : "unknown" };
}

function isReceipt(value: unknown): value is Receipt {
  return isRecord(value) && typeof value.purchaseNo === "string" && isTime(value.purchasedAt);
}

function receiptOf({ purchaseNo, purchasedAt }: Receipt): Receipt {
  return { purchaseNo, purchasedAt };
}
