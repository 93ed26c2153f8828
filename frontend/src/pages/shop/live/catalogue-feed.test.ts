import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { accepted, FakeService } from "../../../testing/fake-service";
import { saleFixture } from "../../../testing/sale-fixture";
import { setVisibility } from "../../../testing/visibility";
import { CatalogueFeed } from "./catalogue-feed";

const CATALOGUE = "GET /api/v1/catalogue";

let service: FakeService;
let feed: CatalogueFeed;
beforeEach(() => {
  vi.useFakeTimers();
  service = new FakeService();
  service.sales = [saleFixture()];
  feed = new CatalogueFeed();
});
afterEach(() => {
  feed.stop();
  setVisibility("visible");
  vi.useRealTimers();
});

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const asked = () => service.requests(CATALOGUE).length;

test("the sales are asked for every 5 s", async () => {
  feed.start();
  await pass(0);
  expect(feed.getState()).toMatchObject({ sales: [{ sku: "DEMO" }], failed: false });
  service.sales = [];
  await pass(5_000);
  expect(feed.getState().sales).toEqual([]);
  feed.stop();
  await pass(60_000);
  expect(asked()).toBe(2);
});

test.each([
  ["HIT", 3_600_000],
  ["STALE", 0],
])("FE-1: the clock allows for the cache: %s", async (cache, aheadMs) => {
  const serverTime = new Date(Date.now() + 3_599_000).toISOString();
  service.next(CATALOGUE, accepted({ sales: [], serverTime }, 200, { "X-Cache-Status": cache }));
  feed.start();
  await pass(0);
  expect(feed.clock.now() - Date.now()).toBe(aheadMs);
});

test("nobody looks, nothing is asked; somebody looks, it is at once", async () => {
  feed.start();
  await pass(0);
  setVisibility("hidden");
  await pass(60_000);
  const before = asked();
  expect(before).toBeLessThanOrEqual(2);
  setVisibility("visible");
  await pass(0);
  expect(asked()).toBe(before + 1);
});

test("a failure keeps what was heard, and says so", async () => {
  feed.start();
  await pass(0);
  service.always(CATALOGUE, "breaks");
  await pass(5_000);
  expect(feed.getState()).toMatchObject({ sales: [{ sku: "DEMO" }], failed: true });
  service.always(CATALOGUE, undefined);
  feed.refresh();
  await pass(0);
  expect(feed.getState().failed).toBe(false);
});
