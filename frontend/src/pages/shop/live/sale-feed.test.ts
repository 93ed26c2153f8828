import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeService, refused } from "../../../testing/fake-service";
import { saleFixture } from "../../../testing/sale-fixture";
import { setVisibility } from "../../../testing/visibility";
import { SaleFeed } from "./sale-feed";

const STREAM = "GET /api/v1/sales/events";
const STATUS = "GET /api/v1/sales";

let service: FakeService;
let feed: SaleFeed;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:10:00.000Z") });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  service = new FakeService();
  service.sales = [saleFixture()];
  feed = new SaleFeed("DEMO");
});
afterEach(() => {
  feed.stop();
  setVisibility("visible");
  vi.useRealTimers();
});

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const asked = (endpoint: string) => service.requests(endpoint).length;
const connection = () => feed.getState().connection;

/** Live, and for long enough that an end says nothing. */
async function goLive(): Promise<void> {
  feed.start();
  await pass(0);
  service.stream.event("initial", saleFixture(), "1");
  await pass(6_000);
}

describe("FE-7: the stream", () => {
  test("is what the page lives on: no polls", async () => {
    feed.start();
    expect(connection()).toBe("connecting");
    await goLive();
    expect(feed.getState()).toMatchObject({ connection: "live", sale: { stock: 42 }, missing: false });
    service.stream.event("stock-update", { sku: "DEMO", stock: 41 }, "2");
    await pass(0);
    expect(feed.getState().sale?.stock).toBe(41);
    service.stream.event("state-change", { sku: "DEMO", state: "ENDED", reason: "SOLD_OUT" }, "3");
    await pass(0);
    expect(feed.getState().sale).toMatchObject({ state: "ENDED", endReason: "SOLD_OUT", stock: 0 });
    expect(asked(STATUS)).toBe(0);
  });

  test("that ends is opened again within a second, where it was, and nobody notices", async () => {
    await goLive();
    const seen = new Set<string>();
    feed.subscribe(() => seen.add(connection()));
    service.stream.end();
    await pass(1_000);
    expect(connection()).toBe("live");
    expect(service.requests(STREAM).at(-1)?.headers.get("Last-Event-ID")).toBe("1");
    await pass(10_000);
    expect(seen).toEqual(new Set(["connecting", "live"]));
    expect(asked(STATUS)).toBe(0);
  });

  test("that cannot be opened at first is replaced by polls at once", async () => {
    service.always(STREAM, refused(503, "SERVICE_UNAVAILABLE"));
    feed.start();
    await pass(0);
    expect(feed.getState()).toMatchObject({ connection: "polling", sale: { stock: 42 } });
  });

  test("that takes longer than 3 s to open is replaced by polls meanwhile", async () => {
    service.next(STREAM, "hangs");
    feed.start();
    await pass(2_999);
    expect(connection()).toBe("connecting");
    await pass(1);
    expect(connection()).toBe("polling");
  });

  test("that stays away is replaced by polls every 2 s, and comes back", async () => {
    await goLive();
    service.always(STREAM, "breaks");
    service.stream.end();
    await pass(2_999);
    expect(connection()).toBe("connecting");
    await pass(1);
    expect(connection()).toBe("polling");
    expect(asked(STATUS)).toBe(1);
    service.sales = [saleFixture({ stock: 30 })];
    await pass(2_000);
    expect(asked(STATUS)).toBe(2);
    expect(feed.getState().sale?.stock).toBe(30);
    service.always(STREAM, undefined);
    await pass(16_000);
    expect(connection()).toBe("live");
    const polls = asked(STATUS);
    await pass(10_000);
    expect(asked(STATUS)).toBe(polls);
  });

  test("is tried again after 1, 2, 4 … 15 s, with chance", async () => {
    service.always(STREAM, "breaks");
    feed.start();
    const at = [Date.now()];
    for (let step = 0; step < 1_000; step += 1) {
      await pass(50);
      if (asked(STREAM) > at.length) at.push(Date.now());
    }
    // With the mean of chance, three quarters of 1, 2, 4, 8 and 15 s lie between.
    const between = at.map((time, index) => time - (at[index - 1] ?? time)).slice(1);
    expect(between).toEqual([750, 1_500, 3_000, 6_000, 11_250, 11_250, 11_250]);
  });

  test("waits as long as the service wishes", async () => {
    feed.start();
    await pass(0);
    service.stream.say("retry: 4000\n\n");
    service.stream.event("initial", saleFixture(), "1");
    await pass(6_000);
    service.always(STREAM, "breaks");
    service.stream.end();
    await pass(500);
    expect(asked(STREAM)).toBe(2);
    await pass(3_900);
    expect(asked(STREAM)).toBe(2);
    await pass(200);
    expect(asked(STREAM)).toBe(3);
  });

  test("honours Retry-After", async () => {
    service.always(STREAM, refused(429, "RATE_LIMITED", {}, { "Retry-After": "5" }));
    feed.start();
    await pass(4_900);
    expect(asked(STREAM)).toBe(1);
    await pass(200);
    expect(asked(STREAM)).toBe(2);
  });

  test("without a byte for 40 s is dead", async () => {
    await goLive();
    await pass(34_100);
    expect(connection()).toBe("polling");
    await pass(1_000);
    expect(connection()).toBe("live");
  });

  test("that ends at once again and again is not opened without pause", async () => {
    feed.start();
    for (let times = 0; times < 200; times += 1) {
      await pass(50);
      if (service.streams.length === 0 || service.stream.isAborted) continue;
      service.stream.event("initial", saleFixture(), "1");
      await pass(0);
      service.stream.end();
    }
    expect(asked(STREAM)).toBeLessThan(8);
  });
});

describe("FE-7: without any connection", () => {
  test("the page says so, and goes on trying", async () => {
    await goLive();
    service.always(STREAM, "breaks");
    service.always(STATUS, "breaks");
    service.stream.break();
    await pass(3_100);
    expect(connection()).toBe("offline");
    service.always(STATUS, undefined);
    await pass(2_000);
    expect(connection()).toBe("polling");
  });

  test("the browser's word that it is offline counts at once, and that it is online as well", async () => {
    await goLive();
    service.always(STREAM, "breaks");
    service.always(STATUS, "breaks");
    window.dispatchEvent(new Event("offline"));
    await pass(0);
    expect(connection()).toBe("offline");
    service.always(STREAM, undefined);
    service.always(STATUS, undefined);
    window.dispatchEvent(new Event("online"));
    await pass(0);
    expect(connection()).toBe("live");
  });

  test("too many polls are no lost connection, but slow them down", async () => {
    service.always(STREAM, "breaks");
    service.always(STATUS, refused(429, "RATE_LIMITED", { retryAfter: 6 }));
    feed.start();
    await pass(5_900);
    expect(connection()).toBe("polling");
    expect(asked(STATUS)).toBe(1);
  });
});

describe("polls", () => {
  beforeEach(() => service.always(STREAM, "breaks"));

  test("say what they have", async () => {
    service.next(STATUS, {
      status: 200,
      body: { success: true, data: saleFixture() },
      headers: { ETag: 'W/"7"' },
    });
    service.next(STATUS, { status: 304, body: null });
    feed.start();
    await pass(2_000);
    expect(service.requests(STATUS).map(({ headers }) => headers.get("If-None-Match"))).toEqual([
      null,
      'W/"7"',
    ]);
    expect(feed.getState()).toMatchObject({ connection: "polling", sale: { stock: 42 } });
  });

  test("FE-1: that a cache kept do not set the clock back", async () => {
    const kept = (cache: string, second: number) =>
      service.next(STATUS, {
        status: 200,
        body: { success: true, data: saleFixture({ serverTime: `2026-11-23T12:10:0${second}.000Z` }) },
        headers: { "X-Cache-Status": cache },
      });
    const late = () => Date.now() - feed.clock.now();
    kept("MISS", 0);
    kept("HIT", 1);
    kept("STALE", 1);
    feed.start();
    await pass(0);
    expect(late()).toBe(0);
    await pass(2_000);
    expect(asked(STATUS)).toBe(2);
    expect(late()).toBe(0);
    await pass(2_000);
    expect(asked(STATUS)).toBe(3);
    expect(late()).toBe(0);
  });

  test("rest while the page is hidden, and catch up when it is back", async () => {
    feed.start();
    await pass(0);
    setVisibility("hidden");
    await pass(60_000);
    const polls = asked(STATUS);
    expect(polls).toBeLessThanOrEqual(2);
    service.sales = [saleFixture({ stock: 1 })];
    setVisibility("visible");
    await pass(0);
    expect(asked(STATUS)).toBe(polls + 1);
    expect(feed.getState().sale?.stock).toBe(1);
  });

  test("FE-2: that were asked before the stream said more are not believed", async () => {
    feed.start();
    await pass(0);
    service.next(STATUS, "hangs");
    service.always(STREAM, undefined);
    await pass(2_000);
    service.stream.event("initial", saleFixture({ stock: 20 }), "1");
    await pass(0);
    expect(feed.getState()).toMatchObject({ connection: "live", sale: { stock: 20 } });
  });
});

describe("FE-1: when the start passes without an event", () => {
  beforeEach(() => {
    service.sales = [
      saleFixture({
        state: "UPCOMING",
        stock: 100,
        startTime: "2026-11-23T12:10:10.000Z",
      }),
    ];
  });

  test("the status is asked for, and the page does not decide it", async () => {
    feed.start();
    await pass(0);
    service.stream.event("initial", service.sales[0], "1");
    await pass(10_000);
    expect(asked(STATUS)).toBe(0);
    expect(feed.getState().sale?.state).toBe("UPCOMING");
    await pass(600);
    expect(asked(STATUS)).toBe(1);
    expect(feed.getState().sale?.state).toBe("UPCOMING");
    service.sales = service.sales.map((sale) => ({ ...sale, state: "ACTIVE" as const }));
    await pass(3_000);
    expect(asked(STATUS)).toBe(2);
    expect(feed.getState().sale?.state).toBe("ACTIVE");
    await pass(60_000);
    expect(asked(STATUS)).toBeLessThan(5);
  });

  test("the server's clock counts and not this device's", async () => {
    feed.start();
    await pass(0);
    // The device is 5 s behind.
    service.stream.event("initial", { ...service.sales[0], serverTime: "2026-11-23T12:10:05.000Z" }, "1");
    await pass(5_000);
    expect(asked(STATUS)).toBe(0);
    await pass(600);
    expect(asked(STATUS)).toBe(1);
  });
});

describe("another sale, and none", () => {
  test("a reset is followed by the whole truth, also when the stock is higher", async () => {
    await goLive();
    service.stream.event("reset", { sku: "DEMO" }, "9");
    service.stream.event("initial", saleFixture({ stock: 99 }), "10");
    await pass(0);
    expect(feed.getState().sale?.stock).toBe(99);
    service.stream.event("initial", saleFixture({ stock: 100, paused: true }), "11");
    await pass(0);
    expect(feed.getState().sale).toMatchObject({ stock: 99, paused: true });
  });

  test("an unknown SKU is said to be one, and looked for again", async () => {
    service.sales = [];
    feed.start();
    await pass(0);
    expect(feed.getState()).toMatchObject({ missing: true, sale: undefined });
    await pass(60_000);
    expect(asked(STREAM)).toBe(1);
    service.sales = [saleFixture()];
    await pass(5_000);
    expect(feed.getState()).toMatchObject({ missing: false, sale: { stock: 42 } });
    service.stream.event("initial", saleFixture(), "1");
    await pass(0);
    expect(connection()).toBe("live");
  });

  test("a sale that is removed while the page is open is gone", async () => {
    await goLive();
    service.sales = [];
    service.stream.end();
    await pass(1_000);
    expect(feed.getState()).toMatchObject({ missing: true, sale: undefined });
  });
});

test("a feed that is stopped asks nothing, and can be started again", async () => {
  await goLive();
  feed.stop();
  const before = service.seen.length;
  await pass(120_000);
  expect(service.seen.length).toBe(before);
  expect(service.stream.isAborted).toBe(true);
  feed.start();
  await pass(0);
  expect(connection()).toBe("live");
});
