import type { SaleOverview } from "../../../api/ops-types";
import { isEndReason } from "../../../api/sales";
import type { Sale } from "../../../api/types";

/** Where a sale stands, as the shop's badge takes it. */
export function saleStanding({
  state,
  endReason,
  paused,
}: Pick<SaleOverview, "state" | "endReason" | "paused">): Pick<Sale, "state" | "endReason" | "paused"> {
  return { state, ...(isEndReason(endReason) ? { endReason } : {}), ...(paused ? { paused } : {}) };
}
