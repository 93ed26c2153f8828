// What the scenarios share: settings, the sale, one attempt, and what must hold afterwards.

import { sleep } from "k6";
import exec from "k6/execution";
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

/** @typedef {import("k6/http").Response} Response */
/** @typedef {import("k6/options").Scenario} Scenario */
/** @typedef {keyof typeof counters} Outcome */
/** @typedef {{ outcome: Outcome, purchaseNo: string | undefined, ms: number, said: string }} Answer */
/** @typedef {{ sku: string, soldBefore: number }} Sale */
/** @typedef {{ id: string, sales: Sale[] }} Run What setup() hands on; `id` begins the name of every shopper. */

/** How long purchases may take, in milliseconds. */
export const LATENCY = ["med<500", "p(95)<1000", "p(99)<2000"];

const REQUEST_MAX = "30s";
// Longer than a request, so that k6 cuts none off: whoever was cut off may hold a unit that nobody counted.
const GRACE = "35s";
const START_IN_MS = 2000;
const ACTIVE_WITHIN_MS = 60000;
const READ_WITHIN_MS = 30000;
// A sale outlives its run by this.
const MARGIN_MS = 3600 * 1000;
const OPENING_MS = 3000;
const COMPLAINTS_MAX = 3;
const RISE = "30s";
const LOCAL_ADMIN_KEY = "dev-admin-key-12345678";

const url = (__ENV.URL || "http://127.0.0.1:8080").replace(/\/+$/, "");
const isLocal = /^https?:\/\/(127\.[\d.]+|localhost|\[::1\])(:|\/|$)/.test(url);
const adminKey = __ENV.ADMIN_KEY || (isLocal ? LOCAL_ADMIN_KEY : "");
if (adminKey === "") throw new Error("ADMIN_KEY is missing: by it the sale is set up, and read afterwards");
// How many units a sale has that was there before is known only if somebody says so; teardown() asks in any case.
const isStockKnown = !__ENV.SKU || Boolean(__ENV.UNITS);

// A `repeated` success is one that the shopper had been told before, by the same receipt.
const counters = {
  accepted: new Counter("purchases_accepted"),
  pending: new Counter("purchases_pending"),
  repeated: new Counter("purchases_repeated"),
  already: new Counter("purchases_already"),
  sold_out: new Counter("purchases_sold_out"),
  not_active: new Counter("purchases_not_active"),
  rate_limited: new Counter("purchases_rate_limited"),
  unavailable: new Counter("purchases_unavailable"),
  unexpected: new Counter("purchases_unexpected"),
};
const purchaseDuration = new Trend("purchase_duration", true);
const statusDuration = new Trend("status_duration", true);
const receiptDuration = new Trend("receipt_duration", true);
// Shoppers who were told of a unit, whether the log was late or not.
const unitsTold = new Counter("units_told");
const unitsClaimable = new Counter("units_claimable");
const readsAnswered = new Counter("reads_answered");
const readsRefused = new Counter("reads_refused");
const readsUnexpected = new Counter("reads_unexpected");
// Clients share nothing, and teardown() sees no metric. So the units are balanced in counters that go both ways: up and
// down while clients are told of units, and by what the service has sold at the end. Neither may end above 0.
const unitsMissing = new Counter("units_missing"); // told, but not sold
const unitsUntold = new Counter("units_untold"); // sold, but neither told nor possibly lost on the way
const salesContradictory = new Counter("sales_contradictory");

// Of these none is a failed request.
http.setResponseCallback(http.expectedStatuses(200, 201, 202, 404, 429, 503));

/**
 * A whole number of the environment, 1 or more.
 * @param {string} name
 * @param {number} otherwise
 */
export function whole(name, otherwise) {
  const text = __ENV[name];
  if (!text) return otherwise;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name}=${text} is no whole number from 1 on`);
  return Number(text);
}

/**
 * DURATION, such as `90s` or `1h30m`.
 * @param {string} otherwise
 */
export function duration(otherwise) {
  const text = __ENV.DURATION || otherwise;
  milliseconds(text);
  return text;
}

/** @param {string} text */
function milliseconds(text) {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  const [, hours = "0", minutes = "0", seconds = "0"] = parts ?? [];
  const sum = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
  if (sum === 0) throw new Error(`DURATION=${text} is none: 30s, 5m, 1h30m`);
  return sum;
}

/**
 * Options of a run with one scenario.
 * @param {Scenario} scenario
 * @param {number} units that may be sold in all
 * @param {{ [name: string]: string[] }} thresholds beside those of every run
 * @returns {import("k6/options").Options}
 */
export function optionsOf(scenario, units, thresholds = {}) {
  return {
    scenarios: { load: { ...scenario, gracefulStop: GRACE } },
    setupTimeout: "2m",
    teardownTimeout: "2m",
    summaryTrendStats: ["min", "avg", "med", "p(90)", "p(95)", "p(99)", "max"],
    thresholds: {
      ...(isStockKnown ? { purchases_accepted: [`count<=${units}`] } : {}),
      purchase_duration: LATENCY,
      purchases_unexpected: ["count==0"],
      reads_unexpected: ["count==0"],
      units_missing: ["count<=0"],
      units_untold: ["count<=0"],
      sales_contradictory: ["count==0"],
      ...thresholds,
    },
  };
}

/**
 * The threshold of a scenario that must sell: else a run passes in which everybody was turned away.
 * @param {number} units that may be sold in all
 * @param {number} buyers where each wants one and has one try: if they are enough, every unit has somebody who was told of
 *   it, or who was not let in or does not know
 */
export function mustSell(units, buyers = 0) {
  /** @type {{ [name: string]: string[] }} */
  const thresholds = { units_told: ["count>=1"] };
  if (isStockKnown && buyers >= units) thresholds.units_claimable = [`count>=${units}`];
  return thresholds;
}

/** Clients at a time, at most; each has a connection of its own. */
const clients = whole("VUS", 1000);

/**
 * All at once, as far as there are clients.
 * @param {number} attempts
 * @returns {Scenario}
 */
export function burst(attempts) {
  return { executor: "shared-iterations", vus: Math.min(clients, attempts), iterations: attempts };
}

/**
 * So many a second, however long the answers take.
 * @param {number} rate
 * @param {string} lasts
 * @returns {Scenario}
 */
export function steady(rate, lasts) {
  return { executor: "constant-arrival-rate", rate, duration: lasts, ...room(rate) };
}

/**
 * Up to so many a second, and then so many.
 * @param {number} rate
 * @param {string} lasts
 * @returns {Scenario}
 */
export function rising(rate, lasts) {
  const stages = [
    { target: rate, duration: RISE },
    { target: rate, duration: lasts },
  ];
  return { executor: "ramping-arrival-rate", startRate: 0, stages, ...room(rate) };
}

// Enough for answers that take a quarter of a second; k6 makes more when it needs them.
/** @param {number} rate */
function room(rate) {
  return { timeUnit: "1s", preAllocatedVUs: Math.min(clients, Math.ceil(rate / 4)), maxVUs: clients };
}

/**
 * Sets up sales, or takes the one that SKU names, and waits until they have begun.
 * @param {{ units: number, lasts: string, count?: number }} wanted units of each
 * @returns {Run}
 */
export function openSales({ units, lasts, count = 1 }) {
  const id = Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, "0");
  const made = Array.from({ length: count }, (_, n) => (count === 1 ? `K6-${id}` : `K6-${id}-${n + 1}`));
  const skus = __ENV.SKU ? [__ENV.SKU] : made;
  if (!__ENV.SKU) for (const sku of skus) create(sku, units, milliseconds(lasts));
  for (const sku of skus) waitUntilActive(sku);
  console.info(`sale ${skus.join(", ")}`);
  return { id: `k6-${id}`, sales: skus.map((sku) => ({ sku, soldBefore: product(sku).totalPurchases })) };
}

/**
 * @param {string} sku
 * @param {number} units
 * @param {number} lastsMs
 */
function create(sku, units, lastsMs) {
  const start = Date.now() + START_IN_MS;
  const body = {
    sku,
    productName: `Load of k6, ${sku}`,
    initialStock: units,
    startTime: new Date(start).toISOString(),
    endTime: new Date(start + lastsMs + MARGIN_MS).toISOString(),
  };
  const response = http.post(`${url}/api/v1/products`, JSON.stringify(body), params("admin", admin()));
  if (response.status !== 201) throw new Error(`${sku} was not set up: ${said(response)}`);
}

/** @param {string} sku */
function waitUntilActive(sku) {
  const deadline = Date.now() + ACTIVE_WITHIN_MS;
  for (;;) {
    const response = http.get(`${url}/api/v1/sales?sku=${sku}`, params("admin", {}));
    const state = envelope(response).data?.state;
    if (state === "ACTIVE") return;
    if (state === "ENDED" || Date.now() > deadline) throw new Error(`${sku} is not open: ${said(response)}`);
    sleep(0.05);
  }
}

/**
 * Sells what is left, one unit a shopper. What is sold here counts nowhere.
 * @param {Run} run
 * @returns {Run}
 */
export function sellOut(run) {
  for (const sale of run.sales) {
    const { currentStock } = product(sale.sku);
    for (let n = 0; n < currentStock; n += 1) {
      const answer = answerOf(http.request(...purchaseRequest(sale.sku, `${run.id}-before-${n}`)));
      if (answer.outcome !== "accepted" && answer.outcome !== "pending") throw new Error(`not sold: ${answer.said}`);
    }
    const after = product(sale.sku);
    if (after.currentStock !== 0) throw new Error(`${sale.sku} has units left: somebody else uses it`);
    sale.soldBefore = after.totalPurchases;
  }
  return run;
}

/**
 * Opens the connection of a client before its first attempt, and waits for the others to have opened theirs.
 * @param {Run} run
 */
export function getReady(run) {
  if (exec.vu.iterationInScenario > 0) return;
  http.get(`${url}/api/v1/sales?sku=${skuOf(run, 0)}`, params("opening", {}));
  const wait = exec.scenario.startTime + OPENING_MS - Date.now();
  if (wait > 0) sleep(wait / 1000);
}

/** A shopper that nobody else is in this run. @param {Run} run */
export function newShopper(run) {
  return `${run.id}-${exec.scenario.iterationInTest}`;
}

/**
 * The SKU of the n-th sale, beginning anew behind the last.
 * @param {Run} run
 * @param {number} n
 */
export function skuOf(run, n) {
  const sale = run.sales[n % run.sales.length];
  if (sale === undefined) throw new Error("there is no sale");
  return sale.sku;
}

/**
 * One attempt to buy, counted. Returns the number of the receipt, if there is one.
 * @param {string} sku
 * @param {string} shopper
 */
export function purchase(sku, shopper) {
  return count([answerOf(http.request(...purchaseRequest(sku, shopper)))]);
}

/**
 * Attempts of one shopper, all at once, counted. What the shopper is told must be one unit.
 * @param {string} sku
 * @param {string} shopper
 * @param {string[]} keys one for each attempt
 */
export function purchaseAtOnce(sku, shopper, keys) {
  const requests = keys.map((key) => {
    const [method, to, body, settings] = purchaseRequest(sku, shopper, key);
    return { method, url: to, body, params: settings };
  });
  return count(http.batch(requests).map(answerOf));
}

/**
 * @param {string} sku
 * @param {string} shopper
 * @param {string} key
 * @returns {[string, string, string, import("k6/http").Params]}
 */
function purchaseRequest(sku, shopper, key = `${shopper}-1`) {
  const headers = { "Content-Type": "application/json", "X-User-Id": shopper, "Idempotency-Key": key };
  return ["POST", `${url}/api/v1/purchases`, JSON.stringify({ sku }), params("purchase", headers)];
}

/**
 * @param {Response} response
 * @returns {Answer}
 */
function answerOf(response) {
  const { success, data, error } = envelope(response);
  const no = success === true ? data?.purchaseNo : error?.purchase?.purchaseNo;
  const purchaseNo = typeof no === "string" ? no : undefined;
  return {
    outcome: outcomeOf(response, purchaseNo !== undefined),
    purchaseNo,
    ms: response.timings.duration,
    said: said(response),
  };
}

/**
 * @param {Response} response
 * @param {boolean} hasReceipt
 * @returns {Outcome}
 */
function outcomeOf(response, hasReceipt) {
  const { success, data, error } = envelope(response);
  if (response.status === 429 && isPolite(response)) return "rate_limited";
  if (response.status === 503 && isPolite(response)) return "unavailable";
  if (response.status === 202 && success === true && data?.status === "PENDING" && hasReceipt) return "pending";
  if (response.status !== 200) return "unexpected";
  if (success === true) return hasReceipt ? "accepted" : "unexpected";
  if (error?.code === "ALREADY_PURCHASED" && hasReceipt) return "already";
  if (error?.code === "SOLD_OUT") return "sold_out";
  if (error?.code === "SALE_NOT_ACTIVE") return "not_active";
  return "unexpected";
}

const UNDECIDED = ["rate_limited", "unavailable", "unexpected"];
// After these the shopper may hold a unit without having been told.
const UNKNOWN = ["unavailable", "unexpected"];

/**
 * Counts what one shopper was told.
 * @param {Answer[]} answers
 */
function count(answers) {
  /** @type {string | undefined} */
  let receipt;
  let isSold = false;
  for (const { outcome, purchaseNo, ms, said } of answers) {
    if (!UNDECIDED.includes(outcome)) purchaseDuration.add(ms);
    const isOther = purchaseNo !== undefined && receipt !== undefined && purchaseNo !== receipt;
    const isSuccess = outcome === "accepted" || outcome === "pending";
    counters[isOther ? "unexpected" : isSuccess && isSold ? "repeated" : outcome].add(1);
    if (isOther) complain(`a second receipt beside ${receipt}: ${said}`);
    if (outcome === "unexpected") complain(said);
    isSold = isSold || isSuccess;
    receipt = receipt ?? purchaseNo;
  }
  if (receipt !== undefined) {
    unitsTold.add(1);
    unitsMissing.add(1);
  }
  if (receipt !== undefined || answers.some(({ outcome }) => UNDECIDED.includes(outcome))) unitsClaimable.add(1);
  if (receipt !== undefined || answers.some(({ outcome }) => UNKNOWN.includes(outcome))) unitsUntold.add(-1);
  return receipt;
}

/** Reads the status of a sale. @param {string} sku */
export function status(sku) {
  const response = http.get(`${url}/api/v1/sales?sku=${sku}`, params("status", {}));
  const { data } = envelope(response);
  const isRight = response.status === 200 && data?.sku === sku && data.stock >= 0 && data.stock <= data.initialStock;
  countRead(response, statusDuration, isRight);
}

/**
 * Looks a receipt up; without a number there must be none.
 * @param {string} sku
 * @param {string} shopper
 * @param {string | undefined} purchaseNo
 */
export function receipt(sku, shopper, purchaseNo) {
  const response = http.get(`${url}/api/v1/purchases?sku=${sku}`, params("receipt", { "X-User-Id": shopper }));
  const { data, error } = envelope(response);
  const isThere = response.status === 200 && data?.purchaseNo === purchaseNo;
  const isNone = response.status === 404 && error?.code === "NOT_FOUND";
  countRead(response, receiptDuration, purchaseNo === undefined ? isNone : isThere);
}

/**
 * @param {Response} response
 * @param {Trend} durations
 * @param {boolean} isRight
 */
function countRead(response, durations, isRight) {
  if (isRight) {
    readsAnswered.add(1);
    durations.add(response.timings.duration);
  } else if ((response.status === 429 || response.status === 503) && isPolite(response)) {
    readsRefused.add(1);
  } else {
    readsUnexpected.add(1);
    complain(said(response));
  }
}

/**
 * Compares what was told with what was sold. Afterwards, so that no attempt is under way.
 * @param {Run} run
 */
export function teardown(run) {
  for (const { sku, soldBefore } of run.sales) {
    const { totalPurchases, currentStock, initialStock } = product(sku);
    const sold = totalPurchases - soldBefore;
    unitsMissing.add(-sold);
    unitsUntold.add(sold);
    const isWhole = totalPurchases + currentStock === initialStock;
    salesContradictory.add(isWhole ? 0 : 1);
    const units = `${totalPurchases} sold and ${currentStock} left of ${initialStock}`;
    if (isWhole) console.info(`${sku}: ${units}`);
    else console.error(`${sku}: ${units} does not add up`);
  }
}

/**
 * @param {string} sku
 * @returns {{ totalPurchases: number, currentStock: number, initialStock: number }}
 */
function product(sku) {
  const deadline = Date.now() + READ_WITHIN_MS;
  for (;;) {
    const response = http.get(`${url}/api/v1/products/${sku}`, params("admin", admin()));
    const { data } = envelope(response);
    // `null` while Redis has lost the sale.
    if (typeof data?.totalPurchases === "number") return data;
    const mayCome = response.status === 200 || response.status === 429 || response.status === 503;
    if (!mayCome || Date.now() > deadline) throw new Error(`${sku} cannot be read: ${said(response)}`);
    sleep(1);
  }
}

/**
 * Prints the summary, and writes all of it to SUMMARY, if that names a file.
 * @param {{ metrics: { [name: string]: Summarized } }} data
 * @returns {{ [path: string]: string } | undefined}
 * @typedef {{ values: { [name: string]: number }, thresholds?: { [limit: string]: { ok: boolean } } }} Summarized
 */
export function handleSummary(data) {
  // For nothing k6 prints its own summary, which scripts cannot get at: with a file ours has to do.
  if (!__ENV.SUMMARY) return undefined;
  return { [__ENV.SUMMARY]: `${JSON.stringify(data, undefined, 2)}\n`, stdout: text(data.metrics) };
}

/** @param {{ [name: string]: Summarized }} metrics */
function text(metrics) {
  const lines = Object.entries(metrics).map(([name, { values, thresholds = {} }]) => {
    const numbers = Object.entries(values).map(([of, value]) => `${of}=${Math.round(value * 100) / 100}`);
    const limits = Object.entries(thresholds).map(([limit, { ok }]) => `\n    ${ok ? "✓" : "✗"} ${limit}`);
    return `  ${`${name} `.padEnd(40, ".")} ${numbers.join(" ")}${limits.join("")}`;
  });
  return `\n${lines.sort().join("\n")}\n\n`;
}

/**
 * @param {string} name
 * @param {{ [name: string]: string }} headers
 */
function params(name, headers) {
  return { headers, tags: { name }, timeout: REQUEST_MAX };
}

function admin() {
  return { "Content-Type": "application/json", "X-Admin-Key": adminKey, "X-Operator": "k6" };
}

/**
 * The body, as far as it is one of ours.
 * @param {Response} response
 */
function envelope(response) {
  try {
    return JSON.parse(String(response.body)) ?? {};
  } catch {
    return {};
  }
}

/** Whoever is turned away is told when to come again. @param {Response} response */
function isPolite(response) {
  return Number(response.headers["Retry-After"]) > 0;
}

/** @param {Response} response */
function said(response) {
  return `${response.status} ${response.error} ${String(response.body).slice(0, 300)}`;
}

let complaints = 0;

// A few of each client are enough to see what is wrong.
/** @param {string} what */
function complain(what) {
  complaints += 1;
  if (complaints <= COMPLAINTS_MAX) console.error(what);
}
