// Those who only look: the status of a sale, RATE times a second.

import { duration, LATENCY, openSales, optionsOf, skuOf, status, steady, whole } from "./flashsale.js";

export { handleSummary, teardown } from "./flashsale.js";

const units = whole("UNITS", 1000);
const lasts = duration("30s");

export const options = optionsOf(steady(whole("RATE", 1000), lasts), units, { status_duration: LATENCY });

export const setup = () => openSales({ units, lasts });

/** @param {import("./flashsale.js").Run} run */
export default function (run) {
  status(skuOf(run, 0));
}
