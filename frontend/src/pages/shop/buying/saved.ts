/** What is kept of buying between visits: the attempt under way, the receipt, and who bought last. */

import { isRecord } from "../../../api/client";
import type { Attempt } from "../../../api/purchases";
import { isTime } from "../../../api/sales";
import type { Receipt } from "../../../api/types";
import { forget, onRemembered, recall, remember } from "../../../memory";

/** An attempt without a final answer. `startTime` tells which sale of the SKU it was for. */
export interface SavedAttempt extends Attempt {
  startTime: string;
}

export interface SavedReceipt extends Receipt {
  user: string;
  productName: string;
}

const IDENTIFIER = "flashsale:identifier";
const attemptName = (sku: string) => `flashsale:attempt:${sku}`;
const receiptName = (sku: string) => `flashsale:receipt:${sku}`;

export function savedAttempt(sku: string): SavedAttempt | undefined {
  const value = parse(recall(attemptName(sku)));
  return hasTexts(value, ["sku", "user", "key", "startTime"]) && value.sku === sku ? value : undefined;
}

export function saveAttempt(attempt: SavedAttempt): void {
  remember(attemptName(attempt.sku), JSON.stringify(attempt));
}

/** Forgets `attempt`, unless another tab has put a new one in its place. */
export function dropAttempt(attempt: Attempt): void {
  if (savedAttempt(attempt.sku)?.key === attempt.key) forget(attemptName(attempt.sku));
}

export function savedReceipt(sku: string): SavedReceipt | undefined {
  const value = parse(recall(receiptName(sku)));
  const isWhole = hasTexts(value, ["purchaseNo", "purchasedAt", "user", "productName"]);
  return isWhole && isTime(value.purchasedAt) ? value : undefined;
}

export function saveReceipt(sku: string, receipt: SavedReceipt): void {
  remember(receiptName(sku), JSON.stringify(receipt));
}

export function dropReceipt(sku: string): void {
  forget(receiptName(sku));
}

/** Calls `changed` when another tab buys, or forgets a receipt. */
export function onReceiptChanged(sku: string, changed: () => void, signal: AbortSignal): void {
  onRemembered(receiptName(sku), changed, signal);
}

export function savedIdentifier(): string {
  return recall(IDENTIFIER) ?? "";
}

export function saveIdentifier(user: string): void {
  remember(IDENTIFIER, user);
}

export function dropIdentifier(): void {
  forget(IDENTIFIER);
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hasTexts<Name extends string>(value: unknown, names: Name[]): value is Record<Name, string> {
  return isRecord(value) && names.every((name) => typeof value[name] === "string" && value[name] !== "");
}
