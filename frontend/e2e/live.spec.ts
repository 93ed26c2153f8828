import { createSale, othersBuy, uniqueUser } from "./api.ts";
import { history, keepHistory } from "./initScripts.ts";
import { LIVE_WITHIN_MS } from "./shop.ts";
import { expect, test } from "./test.ts";

const STATUS = "/api/v1/sales";
const STREAMS = "/api/v1/sales/events";
/** The notice may wait 3 s for a stream that only blinked. */
const NOTICE_WITHIN_MS = 5_000;
/** Polls are 2 s apart. */
const POLLED_WITHIN_MS = 4_000;
/** Attempts to reconnect are up to 15 s apart. */
const BACK_WITHIN_MS = 18_000;
/** A stream that ends sooner is opened again with a pause. */
const SHORT_STREAM_MS = 5_500;

test("FE-2 the stock follows within a second in two browsers while others buy", async ({ shop, newShop }) => {
  const sale = await createSale({ stock: 50 });
  const other = await newShop();
  await Promise.all([shop.openLive(sale), other.openLive(sale)]);
  let left = 50;
  const took: number[] = [];
  for (const bought of [1, 10, 15]) {
    await othersBuy(sale, bought);
    left -= bought;
    took.push(...(await Promise.all([shop.expectStock(left, sale), other.expectStock(left, sale)])));
  }
  const median = took.toSorted((a, b) => a - b)[took.length / 2];
  expect(median, `of ${took} ms`).toBeLessThanOrEqual(1_000);
  await expect(shop.bar).toHaveAttribute("aria-valuenow", "24");
  await expect(shop.bar).toHaveAttribute("aria-valuemax", "50");
});

test("FE-2 what one shopper buys is seen on the page of another", async ({ shop, newShop }) => {
  const sale = await createSale({ stock: 3 });
  const other = await newShop();
  await Promise.all([shop.openLive(sale), other.openLive(sale)]);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  await other.expectStock(2, sale);
  await shop.expectStock(2, sale);
  await othersBuy(sale, 2);
  await expect(other.state).toHaveText("Sold out", { timeout: LIVE_WITHIN_MS });
});

test("FE-2 the stock never rises while streams and polls take turns", async ({
  proxiedShop: shop,
  network,
}) => {
  await keepHistory(shop.page, "[data-testid=stock]");
  const sale = await createSale({ stock: 90 });
  await shop.openLive(sale);
  const buying = othersBuy(sale, 60);
  // Polls and streams take turns meanwhile.
  network.cutStreamsOnce();
  await expect.poll(() => network.requests("GET", STREAMS).length).toBeGreaterThan(1);
  network.cutStreamsOnce();
  await buying;
  await shop.expectStock(30, sale, POLLED_WITHIN_MS);
  const texts = await history(shop.page, "[data-testid=stock]");
  const shown = texts.flatMap((text) => /(\d+) of 90 left/.exec(text)?.[1] ?? []).map(Number);
  expect(shown.length).toBeGreaterThan(1);
  expect(shown).toEqual(shown.toSorted((a, b) => b - a));
});

test("FE-7 without a stream it polls with a notice, and goes back to the stream", async ({
  proxiedShop: shop,
  network,
}) => {
  const sale = await createSale({ stock: 30 });
  await shop.openLive(sale);
  await expect(shop.connection).toHaveText("");

  network.cutStreams();
  await shop.expectConnection("polling", NOTICE_WITHIN_MS);
  await expect(shop.connection).toContainText("Live updates are interrupted");
  const before = network.seen.length;
  await othersBuy(sale, 7);
  await shop.expectStock(23, sale, POLLED_WITHIN_MS);
  await othersBuy(sale, 3);
  await shop.expectStock(20, sale, POLLED_WITHIN_MS);
  const polls = network.seen.slice(before).filter((one) => one.path === STATUS);
  for (const [index, poll] of polls.entries()) {
    expect(poll.headers["if-none-match"], "a poll costs little when nothing changed").toBeDefined();
    const previous = polls[index - 1];
    if (previous) expect(poll.at - previous.at, "polls are apart").toBeGreaterThan(1_000);
  }

  network.pass();
  await shop.expectConnection("live", BACK_WITHIN_MS);
  await expect(shop.connection).toHaveText("");
  expect(
    network.requests("GET", STREAMS).at(-1)?.headers["last-event-id"],
    "it says what it has",
  ).toBeTruthy();
  await othersBuy(sale, 5);
  await shop.expectStock(15, sale);
});

test("FE-7 one can buy while the streams are down", async ({ proxiedShop: shop, network }) => {
  network.cutStreams();
  const sale = await createSale({ stock: 4 });
  await shop.open(sale);
  await shop.expectConnection("polling", NOTICE_WITHIN_MS);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  await shop.expectStock(3, sale, POLLED_WITHIN_MS);
});

test("FE-7 a stream that the service ends goes on where it was, without a notice", async ({
  proxiedShop: shop,
  network,
}) => {
  await keepHistory(shop.page, "[data-testid=connection]", "data-connection");
  const sale = await createSale({ stock: 10 });
  await shop.openLive(sale);
  const opened = Date.now();
  await othersBuy(sale, 2);
  await shop.expectStock(8, sale);
  await expect.poll(() => Date.now() - opened, { timeout: 10_000 }).toBeGreaterThan(SHORT_STREAM_MS);
  network.endStreams();
  await othersBuy(sale, 2);
  await expect.poll(() => network.requests("GET", STREAMS).length, { timeout: 3_000 }).toBe(2);
  await shop.expectStock(6, sale);
  expect(network.requests("GET", STREAMS)[1]?.headers["last-event-id"], "it says what it has").toBeTruthy();
  await shop.expectConnection("live");
  expect(await history(shop.page, "[data-testid=connection]")).not.toContain("polling");
});

test("FE-7 says so when nothing gets through, and recovers by itself", async ({
  proxiedShop: shop,
  network,
}) => {
  const sale = await createSale({ stock: 10 });
  await shop.openLive(sale);
  network.refuse();
  await shop.expectConnection("offline", 8_000);
  await expect(shop.connection).toContainText("Connection lost");
  await othersBuy(sale, 4);
  network.pass();
  // Polls are back first.
  await shop.expectStock(6, sale, POLLED_WITHIN_MS);
  await shop.expectConnection("live", BACK_WITHIN_MS);
  await expect(shop.connection).toHaveText("");
});
