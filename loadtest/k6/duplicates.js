// The impatient: BUYERS shoppers with 100 attempts each, all at once. Every other attempt repeats one idempotency key, the
// rest are new attempts. A shopper gets one unit, by one receipt.

import { mustSell, newShopper, openSales, optionsOf, purchaseAtOnce, skuOf, whole } from "./flashsale.js";

export { handleSummary, teardown } from "./flashsale.js";

const ATTEMPTS = 100;
const buyers = whole("BUYERS", 10);
const units = whole("UNITS", buyers);

export const options = {
  ...optionsOf({ executor: "per-vu-iterations", vus: buyers, iterations: 1 }, units, mustSell(units)),
  batch: ATTEMPTS,
  batchPerHost: ATTEMPTS,
};

export const setup = () => openSales({ units, lasts: "10m" });

/** @param {import("./flashsale.js").Run} run */
export default function (run) {
  const shopper = newShopper(run);
  const keys = Array.from({ length: ATTEMPTS }, (_, n) => `${shopper}-${n % 2 === 0 ? "same" : n}`);
  purchaseAtOnce(skuOf(run, 0), shopper, keys);
}
