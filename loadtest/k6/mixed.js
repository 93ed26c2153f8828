// A usual minute: of RATE requests a second 80 % look at the sale, 15 % buy, 5 % look up a receipt.

import exec from "k6/execution";
import {
  duration,
  mustSell,
  newShopper,
  openSales,
  optionsOf,
  purchase,
  receipt,
  skuOf,
  status,
  steady,
  whole,
} from "./flashsale.js";

export { handleSummary, teardown } from "./flashsale.js";

const units = whole("UNITS", 1000);
const lasts = duration("30s");

export const options = optionsOf(steady(whole("RATE", 1000), lasts), units, mustSell(units));

export const setup = () => openSales({ units, lasts });

// The unit that this client was told of last.
/** @type {{ sku: string, shopper: string, purchaseNo: string } | undefined} */
let bought;

/**
 * 16 of 20 look at a sale, 3 buy, 1 looks up the receipt of a unit bought before.
 * @param {import("./flashsale.js").Run} run
 */
export default function lookOrBuy(run) {
  const n = exec.scenario.iterationInTest;
  const turn = n % 20;
  const sku = skuOf(run, Math.floor(n / 20));
  const shopper = newShopper(run);
  if (turn < 16) {
    status(sku);
  } else if (turn < 19) {
    const purchaseNo = purchase(sku, shopper);
    if (purchaseNo !== undefined) bought = { sku, shopper, purchaseNo };
  } else if (bought === undefined) {
    receipt(sku, shopper, undefined);
  } else {
    receipt(bought.sku, bought.shopper, bought.purchaseNo);
  }
}
