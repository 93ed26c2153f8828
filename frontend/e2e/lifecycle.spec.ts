import {
  createSale,
  deleteSale,
  othersBuy,
  pauseSale,
  resumeSale,
  saleStatus,
  uniqueUser,
  updateSale,
} from "./api.ts";
import { history, keepHistory, skewClock } from "./initScripts.ts";
import type { Shop } from "./shop.ts";
import { expect, test } from "./test.ts";

const HOUR_MS = 3_600_000;
/** How far a countdown may be off: it shows whole seconds, and reading it takes a moment. */
const COUNTDOWN_OFF_S = 2;

async function expectCountdown(shop: Shop, label: RegExp, until: number): Promise<void> {
  await expect(shop.page.getByRole("timer", { name: label })).toBeVisible();
  const off = async () => Math.abs((await shop.secondsLeft()) - (until - Date.now()) / 1_000);
  await expect.poll(off, { timeout: 3_000 }).toBeLessThan(COUNTDOWN_OFF_S);
}

for (const [clock, skew] of [
  ["right", 0],
  ["5 hours ahead", 5 * HOUR_MS],
  ["5 hours behind", -5 * HOUR_MS],
] as const) {
  test(`FE-1 FL-6 counts down by the server's clock while the browser's is ${clock}`, async ({ shop }) => {
    if (skew !== 0) await skewClock(shop.page, skew);
    const upcoming = await createSale({ startsIn: 754_000, endsIn: 2 * HOUR_MS });
    await shop.open(upcoming);
    await expect(shop.state).toHaveText("Upcoming");
    await expectCountdown(shop, /^Starts in/, upcoming.start);

    const active = await createSale({ endsIn: 30 * HOUR_MS });
    await shop.open(active);
    await expect(shop.state).toHaveText("Live now");
    await expectCountdown(shop, /^Ends in/, active.end);
  });
}

test("FE-1 FE-3 passes from upcoming through live to ended by time, without a reload", async ({ shop }) => {
  await skewClock(shop.page, 7 * HOUR_MS);
  await keepHistory(shop.page, "[data-testid=state]");
  const sale = await createSale({ stock: 20, startsIn: 4_000, endsIn: 9_000 });
  await shop.openLive(sale);
  await shop.page.evaluate(() => Object.assign(window, { sameDocument: true }));
  await shop.expectButton("Not open yet", false);

  await expect(shop.state).toHaveText("Live now", { timeout: 6_000 });
  const opened = Date.now() - sale.start;
  expect(opened, "not before the server opened it").toBeGreaterThanOrEqual(0);
  expect(opened, "soon after it").toBeLessThan(3_000);
  await shop.expectButton("Buy now", true);
  await shop.expectStock(20, sale);
  await expect(shop.countdown).toHaveAccessibleName(/^Ends in/);

  await expect(shop.state).toHaveText("Ended", { timeout: 8_000 });
  expect(Date.now(), "not before the server ended it").toBeGreaterThanOrEqual(sale.end);
  await shop.expectButton("Sale ended", false);
  expect(await history(shop.page, "[data-testid=state]")).toEqual(["Upcoming", "Live now", "Ended"]);
  expect(await shop.page.evaluate(() => "sameDocument" in window)).toBe(true);
});

test("FE-1 asks when the countdown is at zero and no event has come", async ({
  proxiedShop: shop,
  network,
}) => {
  const sale = await createSale({ startsIn: 3_000, endsIn: 8_000 });
  await shop.openLive(sale);
  network.freezeStreams();
  await expect(shop.state).toHaveText("Live now", { timeout: 6_000 });
  expect(Date.now()).toBeGreaterThanOrEqual(sale.start);
  await shop.expectButton("Buy now", true);
  await expect(shop.state).toHaveText("Ended", { timeout: 8_000 });
});

test("FE-1 follows an operator who changes the name and the start", async ({ shop }) => {
  const sale = await createSale({ startsIn: 600_000 });
  await shop.openLive(sale);
  const changed = await updateSale(sale, { name: `${sale.name} with a shade`, startsIn: 1_200_000 });
  await expect(shop.name).toHaveText(changed.name);
  await expectCountdown(shop, /^Starts in/, changed.start);
});

test("FE-1 shows another sale of the same SKU as what it is", async ({ shop }) => {
  const sale = await createSale({ stock: 10 });
  await othersBuy(sale, 4);
  await shop.openLive(sale);
  await shop.expectStock(6, sale);
  await deleteSale(sale.sku);
  const next = await createSale({ sku: sale.sku, name: `${sale.name}, second run`, stock: 20 });
  await expect(shop.name).toHaveText(next.name);
  await shop.expectStock(20, next);
  await shop.expectButton("Buy now", true);
});

test("FE-3 the button says why it cannot be used while upcoming, and the Enter key buys nothing", async ({
  shop,
}) => {
  const sale = await createSale({ startsIn: 4_000 });
  await shop.open(sale);
  await shop.expectButton("Not open yet", false);
  const [early, inTime] = [uniqueUser(), uniqueUser()];
  await shop.identifier.fill(early);
  await shop.identifier.press("Enter");
  await shop.expectButton("Buy now", true);
  await shop.buyAs(inTime);
  await shop.expectOutcome("purchased");
  expect(shop.posts.map((post) => post.user)).toEqual([inTime]);
});

test("FE-3 the button follows pause and resume", async ({ shop }) => {
  const sale = await createSale();
  await shop.openLive(sale);
  await shop.expectButton("Buy now", true);
  await pauseSale(sale);
  await shop.expectButton("Paused", false, 2_000);
  await expect(shop.state).toHaveText("Paused");
  await resumeSale(sale);
  await shop.expectButton("Buy now", true, 2_000);
  await expect(shop.state).toHaveText("Live now");
});

test("FE-3 the button stops with the last unit, and stays stopped after a reload", async ({ shop }) => {
  const sale = await createSale({ stock: 2 });
  await shop.openLive(sale);
  await shop.expectButton("Buy now", true);
  await othersBuy(sale, 2);
  await shop.expectButton("Sold out", false, 2_000);
  await expect(shop.state).toHaveText("Sold out");
  await shop.page.reload();
  await shop.expectButton("Sold out", false);
  await expect(shop.state).toHaveText("Sold out");
});

test("FE-3 a sale that ended with units left has no usable button", async ({ shop }) => {
  const sale = await createSale({ endsIn: 1_500 });
  await expect.poll(async () => (await saleStatus(sale.sku)).body.data.state).toBe("ENDED");
  await shop.open(sale);
  await expect(shop.state).toHaveText("Ended");
  await shop.expectButton("Sale ended", false);
});
