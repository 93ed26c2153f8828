import type { Route } from "@playwright/test";
import {
  attempt,
  buy,
  createSale,
  othersBuy,
  pauseSale,
  receiptOf,
  resumeSale,
  uniqueUser,
  unitsSold,
  waitForUserLimit,
} from "./api.ts";
import { loadDice } from "./initScripts.ts";
import type { OutcomeName, Shop } from "./shop.ts";
import { expect, test } from "./test.ts";

const PURCHASES = "**/api/v1/purchases";
/** Six tries with pauses that grow, before the page gives up. */
const GIVES_UP_WITHIN_MS = 60_000;

test("FE-4 PR-2 one who holds a unit is shown that receipt", async ({ shop }) => {
  const sale = await createSale({ stock: 5 });
  const user = uniqueUser();
  const held = await buy(sale, user);
  const since = Date.now();
  await shop.open(sale);
  await waitForUserLimit(since);
  await shop.buyAs(user);
  await shop.expectOutcome("already-purchased");
  await expect(shop.purchaseNo).toHaveText(held.purchaseNo);
  expect(await unitsSold(sale)).toBe(1);
});

test("FE-4 PR-4 one who comes too late is told that it is sold out", async ({
  proxiedShop: shop,
  network,
}) => {
  const sale = await createSale({ stock: 2 });
  await shop.openLive(sale);
  await shop.expectButton("Buy now", true);
  // The page does not hear of the purchases, so its button still works.
  network.freezeStreams();
  await othersBuy(sale, 2);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("sold-out");
  await shop.expectButton("Sold out", false);
  await expect(shop.receipt).toBeHidden();
});

test("FE-4 PR-3 one who tries in a pause is told so, and buys after it", async ({
  proxiedShop: shop,
  network,
}) => {
  const sale = await createSale();
  await shop.openLive(sale);
  network.freezeStreams();
  await pauseSale(sale);
  await shop.buyAs(uniqueUser());
  const since = Date.now();
  await shop.expectOutcome("not-active");
  await expect(shop.outcome).toContainText(/paused/i);
  network.pass();
  await resumeSale(sale);
  await waitForUserLimit(since);
  await shop.button.click();
  await shop.expectOutcome("purchased");
  expect(new Set(shop.posts.map((post) => post.key)).size, "a new click, a new key").toBe(2);
});

test("FE-4 one who is too quick waits as long as the server says, then buys", async ({ shop }) => {
  const [sale, elsewhere] = [await createSale({ stock: 5 }), await createSale({ startsIn: 600_000 })];
  const user = uniqueUser();
  await shop.open(sale);
  // The refusal is the server's: the same shopper tries elsewhere in the same moment.
  await shop.page.route(
    PURCHASES,
    async (route) => {
      await attempt(elsewhere, user);
      await route.continue();
    },
    { times: 1 },
  );
  await shop.buyAs(user);
  await shop.expectOutcome("rate-limited");
  await expect(shop.outcome).toContainText(/\d+ ?s/);
  await expect(shop.button).toBeDisabled();
  await shop.expectButton("Buy now", true);
  await shop.button.click();
  await shop.expectOutcome("purchased");
  await expect(shop.purchaseNo).toHaveText((await receiptOf(sale, user))?.purchaseNo ?? "none");
});

test("FE-4 FE-8 without a connection the outcome is unknown, and checking again ends it", async ({
  proxiedShop: shop,
  network,
}) => {
  test.setTimeout(GIVES_UP_WITHIN_MS + 30_000);
  // The shortest pauses that chance allows.
  await loadDice(shop.page, 0);
  const sale = await createSale({ stock: 5 });
  const user = uniqueUser();
  await shop.openLive(sale);
  await shop.identifier.fill(user);
  network.refuse();
  await shop.button.click();
  await shop.expectOutcome("unknown", GIVES_UP_WITHIN_MS);
  expect(shop.posts.length, "it tried again by itself").toBeGreaterThan(1);
  network.pass();
  await shop.page.getByRole("button", { name: "Check again" }).click();
  await shop.expectOutcome("purchased", 15_000);
  expect(new Set(shop.posts.map((post) => post.key)).size, "one attempt, one key").toBe(1);
  expect(await unitsSold(sale)).toBe(1);
});

test("FE-4 an identifier that only the server refuses is shown at the input", async ({ shop }) => {
  const sale = await createSale();
  await shop.open(sale);
  // The page refuses whatever the server would, so this one answer is made up.
  await shop.page.route(
    PURCHASES,
    (route) =>
      refuse(route, 400, {
        code: "VALIDATION_ERROR",
        message: "Invalid.",
        fields: { userId: "is not one of ours" },
      }),
    { times: 1 },
  );
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("invalid");
  await shop.expectButton("Buy now", true);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
});

test("FE-4 a busy server is asked again with the same key until it answers", async ({ shop }) => {
  const sale = await createSale();
  await shop.open(sale);
  let refused = 0;
  // The stack is not busy; its two refusals are made up, what follows is real.
  await shop.page.route(
    PURCHASES,
    (route) => {
      refused += 1;
      return refuse(route, 503, { code: "SERVICE_UNAVAILABLE", message: "Busy." }, { "Retry-After": "1" });
    },
    { times: 2 },
  );
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("busy");
  await shop.expectButton("Sending…", false);
  await shop.expectOutcome("purchased", 15_000);
  expect(refused).toBe(2);
  expect(new Set(shop.posts.map((post) => post.key)).size).toBe(1);
  expect(shop.posts).toHaveLength(3);
});

/** Answers that the real stack gives only in moments that a test cannot hold still. Each is answered once, made up. */
const ANSWERS: [OutcomeName, string, number, Record<string, unknown>][] = [
  ["not-active", "not started", 200, { code: "SALE_NOT_ACTIVE", reason: "NOT_STARTED" }],
  ["not-active", "over", 200, { code: "SALE_NOT_ACTIVE", reason: "TIME_EXPIRED" }],
  ["not-active", "paused", 200, { code: "SALE_NOT_ACTIVE", reason: "PAUSED" }],
  ["not-active", "replaced", 200, { code: "SALE_NOT_ACTIVE", reason: "SALE_REPLACED" }],
  ["sold-out", "", 200, { code: "SOLD_OUT" }],
  ["rate-limited", "", 429, { code: "RATE_LIMITED", retryAfter: 30 }],
  ["invalid", "", 400, { code: "VALIDATION_ERROR", fields: { userId: "is not one of ours" } }],
  [
    "already-purchased",
    "",
    200,
    {
      code: "ALREADY_PURCHASED",
      purchase: { purchaseNo: "PUR-20260101-AAAA-000001", purchasedAt: "2026-01-01T00:00:00.000Z" },
    },
  ],
];

test("FE-4 no two outcomes look alike, and each says what it is", async ({ shop, newShop }) => {
  const sale = await createSale();
  const looks: string[] = [await look(shop, () => shop.buyAs(uniqueUser()), sale, "purchased")];
  const other = await newShop();
  for (const [name, , status, error] of ANSWERS) {
    await other.page.route(PURCHASES, (route) => refuse(route, status, { message: "made up", ...error }), {
      times: 1,
    });
    looks.push(await look(other, () => other.buyAs(uniqueUser()), sale, name));
  }
  expect(new Set(looks).size, looks.join("\n---\n")).toBe(looks.length);
});

async function look(
  shop: Shop,
  act: () => Promise<void>,
  sale: Parameters<Shop["open"]>[0],
  name: OutcomeName,
): Promise<string> {
  await shop.open(sale);
  await act();
  await shop.expectOutcome(name);
  await expect(shop.outcome.locator("svg").first(), "an icon").toBeVisible();
  const text = (await shop.outcome.textContent()) ?? "";
  expect(text.length, "a headline and what to do next").toBeGreaterThan(20);
  expect(text, "in the words of the page").not.toContain("made up");
  return text;
}

function refuse(
  route: Route,
  status: number,
  error: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<void> {
  return route.fulfill({ status, headers, json: { success: false, error } });
}
