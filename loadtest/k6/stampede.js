// Everybody at once: BUYERS shoppers for UNITS units.

import { burst, getReady, mustSell, newShopper, openSales, optionsOf, purchase, skuOf, whole } from "./flashsale.js";

export { handleSummary, teardown } from "./flashsale.js";

const buyers = whole("BUYERS", 10000);
const units = whole("UNITS", 1000);

export const options = optionsOf(burst(buyers), units, mustSell(units, buyers));

export const setup = () => openSales({ units, lasts: "10m" });

/** @param {import("./flashsale.js").Run} run */
export default function (run) {
  getReady(run);
  purchase(skuOf(run, 0), newShopper(run));
}
