// For hours: as mixed, at a modest RATE, over several sales with UNITS each.

import { duration, mustSell, openSales, optionsOf, rising, whole } from "./flashsale.js";
import lookOrBuy from "./mixed.js";

export { handleSummary, teardown } from "./flashsale.js";

const count = __ENV.SKU ? 1 : 4;
const units = whole("UNITS", 10000);
const unitsInAll = units * count;
const lasts = duration("1h");

export const options = optionsOf(rising(whole("RATE", 200), lasts), unitsInAll, mustSell(unitsInAll));

export const setup = () => openSales({ units, lasts, count });

export default lookOrBuy;
