// Too late: everything is sold, and RATE shoppers a second still come.

import { duration, newShopper, openSales, optionsOf, purchase, sellOut, skuOf, steady, whole } from "./flashsale.js";

export { handleSummary, teardown } from "./flashsale.js";

const units = whole("UNITS", 1);
const lasts = duration("30s");

export const options = optionsOf(steady(whole("RATE", 1000), lasts), units, {
  purchases_accepted: ["count==0"],
  purchases_pending: ["count==0"],
});

export const setup = () => sellOut(openSales({ units, lasts }));

/** @param {import("./flashsale.js").Run} run */
export default function (run) {
  purchase(skuOf(run, 0), newShopper(run));
}
