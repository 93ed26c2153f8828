/** What is known of a sale after one more thing was said about it. */

import type { SaleEvent } from "../../../api/sale-events";
import type { Sale, SaleState } from "../../../api/types";

/** States only go forward. */
const ORDER: Record<SaleState, number> = { UPCOMING: 0, ACTIVE: 1, ENDED: 2 };

/** Whether both tell of one sale, and not of two that had the SKU one after the other. */
export function isSameSale(one: Sale, other: Sale): boolean {
  return one.startTime === other.startTime && one.initialStock === other.initialStock;
}

/**
 * A whole status from a poll or an `initial`. Of one sale the stock never rises and the state never goes back:
 * what would do so is older than what is known, because answers of several instances may overtake each other.
 */
export function mergeStatus(known: Sale | undefined, next: Sale): Sale {
  if (known === undefined || !isSameSale(known, next)) return next;
  if (ORDER[next.state] < ORDER[known.state]) return known;
  return { ...next, stock: Math.min(known.stock, next.stock) };
}

/** A change to the sale that is known. */
export function mergeChange(
  known: Sale,
  change: Extract<SaleEvent, { type: "stock-update" | "state-change" }>,
): Sale {
  if (change.type === "stock-update") return { ...known, stock: Math.min(known.stock, change.stock) };
  if (ORDER[change.state] < ORDER[known.state]) return known;
  const next: Sale = { ...known, state: change.state };
  if (change.reason === undefined) return next;
  return { ...next, endReason: change.reason, stock: change.reason === "SOLD_OUT" ? 0 : next.stock };
}
