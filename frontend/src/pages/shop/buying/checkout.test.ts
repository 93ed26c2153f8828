import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { proofFixture } from "../../../testing/challenge-fixture";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import { type FakeWorker, fakeWorkers } from "../../../testing/fake-worker";
import { saleFixture } from "../../../testing/sale-fixture";
import { ServerClock } from "../live/server-clock";
import { Checkout } from "./checkout";
import { saveAttempt, savedAttempt, savedReceipt, saveReceipt } from "./saved";

const POST = "POST /api/v1/purchases";
const GET = "GET /api/v1/purchases";
const sale = saleFixture();
const numbers = { purchaseNo: "PUR-1", purchasedAt: "2026-11-23T12:10:00.123Z" };
const kept = { ...numbers, user: "alice", productName: "Demo phone" };
const attempt = { sku: "DEMO", user: "alice", key: "k-1", startTime: sale.startTime };
const pending = accepted({ ...numbers, status: "PENDING" }, 202);

let service: FakeService;
let checkout: Checkout;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:10:00.000Z") });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  service = new FakeService();
});
afterEach(() => {
  checkout.stop();
  localStorage.clear();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const sent = () => service.requests(POST);
const state = () => checkout.getState();
const outcome = () => state().outcome?.kind;

/** A visit to the page. */
function visit(): void {
  checkout = new Checkout("DEMO", new ServerClock());
  checkout.start();
  checkout.takeSale(sale);
}

/** What another tab does. */
function elsewhere(change: () => void): void {
  change();
  window.dispatchEvent(new StorageEvent("storage", { key: "flashsale:receipt:DEMO" }));
}

describe("buying", () => {
  test("FE-8: keeps the attempt before it is sent, and until it is answered", async () => {
    service.next(POST, "hangs", accepted(numbers));
    visit();
    void checkout.buy("alice");
    await pass(0);
    const open = savedAttempt("DEMO");
    expect(open).toMatchObject({ user: "alice", startTime: sale.startTime });
    expect(sent()[0]?.headers.get("Idempotency-Key")).toBe(open?.key);
    expect(state().activity).toBe("sending");
    await pass(8_000);
    expect(state()).toMatchObject({ activity: "sending", retry: { nextTry: 2, because: "silence" } });
    await pass(1_000);
    expect(state()).toMatchObject({ activity: "idle", outcome: { kind: "purchased" }, receipt: kept });
    expect(savedAttempt("DEMO")).toBeUndefined();
    expect(savedReceipt("DEMO")).toEqual(kept);
  });

  test("FE-8: a second click does nothing", async () => {
    service.always(POST, accepted(numbers));
    visit();
    void checkout.buy("alice");
    void checkout.buy("alice");
    await pass(10_000);
    void checkout.buy("alice");
    await pass(10_000);
    expect(sent()).toHaveLength(1);
  });

  test("FE-8: in the opening second the request waits 0 to 500 ms", async () => {
    vi.setSystemTime(Date.parse(sale.startTime) + 999);
    service.always(POST, refused(200, "SOLD_OUT"));
    visit();
    void checkout.buy("alice");
    await pass(249);
    expect(state().activity).toBe("sending");
    expect(sent()).toHaveLength(0);
    await pass(1);
    expect(sent()).toHaveLength(1);
    void checkout.buy("alice");
    await pass(0);
    expect(sent()).toHaveLength(2);
  });

  test.each([
    ["sold-out", refused(200, "SOLD_OUT")],
    ["not-active", refused(200, "SALE_NOT_ACTIVE", { reason: "PAUSED" })],
    ["rate-limited", refused(429, "RATE_LIMITED", { retryAfter: 1 })],
    ["invalid", refused(400, "VALIDATION_ERROR", { fields: { userId: "no" } })],
  ])("FE-4: %s ends the attempt; the next click has a new key", async (kind, fate) => {
    service.always(POST, fate);
    visit();
    void checkout.buy("alice");
    await pass(0);
    expect(outcome()).toBe(kind);
    expect(savedAttempt("DEMO")).toBeUndefined();
    void checkout.buy("alice");
    await pass(0);
    const keys = sent().map(({ headers }) => headers.get("Idempotency-Key"));
    expect(new Set(keys).size).toBe(2);
  });

  test("FE-3: nothing is sent while the sale is paused or not open", async () => {
    visit();
    checkout.takeSale({ ...sale, paused: true });
    void checkout.buy("alice");
    checkout.takeSale({ ...sale, state: "ENDED" });
    void checkout.buy("alice");
    await pass(10_000);
    expect(sent()).toHaveLength(0);
  });

  test("busy is said while it is repeated", async () => {
    service.next(POST, refused(503, "SERVICE_UNAVAILABLE", {}, { "Retry-After": "1" }), accepted(numbers));
    visit();
    void checkout.buy("alice");
    await pass(0);
    expect(state()).toMatchObject({ activity: "sending", outcome: { kind: "busy" } });
    await pass(2_000);
    expect(outcome()).toBe("purchased");
  });

  test("what nobody knows is asked again with the same key", async () => {
    service.always(POST, "breaks");
    visit();
    void checkout.buy("alice");
    await pass(120_000);
    expect(state()).toMatchObject({ activity: "idle", outcome: { kind: "unknown" } });
    const key = savedAttempt("DEMO")?.key;
    service.always(POST, accepted(numbers));
    void checkout.checkAgain();
    await pass(0);
    expect(outcome()).toBe("purchased");
    expect(sent().at(-1)?.headers.get("Idempotency-Key")).toBe(key);
  });

  test("a click joins the attempt of another tab by the same buyer", async () => {
    service.always(POST, accepted(numbers));
    visit();
    saveAttempt(attempt);
    void checkout.buy("alice");
    await pass(0);
    expect(sent()[0]?.headers.get("Idempotency-Key")).toBe("k-1");
  });

  test("not open yet is forgotten when it opens", async () => {
    service.always(POST, refused(200, "SALE_NOT_ACTIVE", { reason: "PAUSED" }));
    visit();
    void checkout.buy("alice");
    await pass(0);
    checkout.takeSale({ ...sale, paused: true });
    expect(outcome()).toBe("not-active");
    checkout.takeSale(sale);
    expect(outcome()).toBeUndefined();
  });
});

describe("a sale with a challenge", () => {
  const CHALLENGE = "GET /api/v1/purchases/challenge";
  const challenged = saleFixture({ challenge: "PROOF_OF_WORK" });
  const asked = () => service.requests(CHALLENGE);
  let workers: FakeWorker[];

  beforeEach(() => {
    workers = fakeWorkers();
    service.always(CHALLENGE, accepted(proofFixture()));
    service.always(POST, accepted(numbers));
  });

  function visitChallenged(different: Parameters<typeof saleFixture>[0] = {}): void {
    checkout = new Checkout("DEMO", new ServerClock());
    checkout.start();
    checkout.takeSale({ ...challenged, ...different });
  }

  async function find(nonce: string): Promise<void> {
    await pass(0);
    workers.at(-1)?.says({ kind: "found", nonce });
    await pass(0);
  }

  test("says how far the check is, then buys with the answer", async () => {
    visitChallenged();
    void checkout.buy("alice");
    await pass(0);
    expect(state()).toMatchObject({ activity: "sending", checking: { kind: "PROOF_OF_WORK", share: 0 } });
    expect(savedAttempt("DEMO")).toBeDefined();
    workers[0]?.says({ kind: "tried", tries: 2 ** 18 });
    expect(state().checking?.share).toBeGreaterThan(0.6);
    expect(sent()).toHaveLength(0);
    await find("1");
    expect(state()).toMatchObject({ activity: "idle", checking: undefined, outcome: { kind: "purchased" } });
    expect(sent().map(({ headers }) => headers.get("X-Challenge-Response"))).toEqual(["text:1"]);
  });

  test("is prepared for when the buyer has written who they are, and the click is sent at once", async () => {
    visitChallenged();
    for (const typed of ["a", "al", "alice"]) {
      checkout.takeBuyer(typed);
      await pass(1_000);
    }
    expect(asked()).toHaveLength(0);
    await pass(2_000);
    expect(asked().map(({ headers }) => headers.get("X-User-Id"))).toEqual(["alice"]);
    await find("1");
    void checkout.buy("alice");
    await pass(0);
    expect(outcome()).toBe("purchased");
    expect(asked()).toHaveLength(1);
  });

  test("is prepared for 20 to 10 s before the opening, whatever the stock does", async () => {
    const upcoming = { ...challenged, state: "UPCOMING", startTime: "2026-11-23T12:20:00.000Z" } as const;
    visitChallenged(upcoming);
    checkout.takeBuyer("alice");
    await pass(10 * 60_000 - 15_001);
    expect(asked()).toHaveLength(0);
    checkout.takeSale({ ...upcoming, stock: 41 });
    await pass(1);
    expect(asked()).toHaveLength(1);
  });

  test("that is far away is prepared for only then", async () => {
    visitChallenged({ state: "UPCOMING", startTime: "2027-11-23T12:00:00.000Z" });
    checkout.takeBuyer("alice");
    await pass(60_000);
    expect(asked()).toHaveLength(0);
  });

  test.each([
    ["has ended", { state: "ENDED" }],
    ["asks for a CAPTCHA", { challenge: "CAPTCHA" }],
    ["asks for nothing", { challenge: "NONE" }],
  ] as const)("that %s is not prepared for", async (_, different) => {
    visitChallenged(different);
    checkout.takeBuyer("alice");
    await pass(60_000);
    expect(asked()).toHaveLength(0);
  });

  test("is not prepared for without a buyer, nor for one who has bought", async () => {
    visitChallenged();
    checkout.takeBuyer(undefined);
    await pass(60_000);
    checkout.takeBuyer("alice");
    elsewhere(() => saveReceipt("DEMO", kept));
    await pass(60_000);
    expect(asked()).toHaveLength(0);
  });

  test("a click joins the preparation", async () => {
    visitChallenged();
    checkout.takeBuyer("alice");
    await pass(3_000);
    void checkout.buy("alice");
    await find("1");
    expect(outcome()).toBe("purchased");
    expect(workers).toHaveLength(1);
  });

  test("that cannot be met ends the attempt, and the next click tries anew", async () => {
    visitChallenged();
    void checkout.buy("alice");
    await pass(0);
    workers[0]?.fails();
    await pass(0);
    expect(state()).toMatchObject({ activity: "idle", checking: undefined, outcome: { kind: "unproved" } });
    expect(savedAttempt("DEMO")).toBeUndefined();
    expect(sent()).toHaveLength(0);
    void checkout.buy("alice");
    await find("1");
    expect(outcome()).toBe("purchased");
  });

  test("a page that is left calculates no more, and sends nothing", async () => {
    visitChallenged();
    checkout.takeBuyer("bob");
    void checkout.buy("alice");
    await pass(0);
    checkout.stop();
    expect(workers[0]?.isTerminated).toBe(true);
    await pass(60_000);
    expect(workers).toHaveLength(1);
    expect(sent()).toHaveLength(0);
    expect(savedAttempt("DEMO")).toBeDefined();
  });

  test("FE-8: a reload meets the challenge again, and finishes the attempt with its key", async () => {
    saveAttempt(attempt);
    visitChallenged();
    await pass(0);
    expect(state()).toMatchObject({ activity: "resuming", checking: { kind: "PROOF_OF_WORK" } });
    await find("1");
    expect(outcome()).toBe("purchased");
    expect(sent()[0]?.headers.get("Idempotency-Key")).toBe("k-1");
  });
});

describe("a reload", () => {
  test("FE-8: finishes an attempt that was under way, with its key", async () => {
    saveAttempt(attempt);
    service.next(POST, refused(429, "RATE_LIMITED", { retryAfter: 1 }), accepted(numbers));
    visit();
    await pass(0);
    expect(state().activity).toBe("resuming");
    await pass(2_000);
    expect(state()).toMatchObject({ activity: "idle", outcome: { kind: "purchased" }, receipt: kept });
    expect(sent().map(({ headers }) => headers.get("Idempotency-Key"))).toEqual(["k-1", "k-1"]);
  });

  test("does not send an attempt for an earlier sale of the SKU", async () => {
    saveAttempt({ ...attempt, startTime: "2026-11-20T12:00:00.000Z" });
    visit();
    await pass(10_000);
    expect(sent()).toHaveLength(0);
    expect(savedAttempt("DEMO")).toBeUndefined();
  });

  test("FE-6: shows the receipt at once, and asks whether it is right", async () => {
    saveReceipt("DEMO", { ...kept, purchaseNo: "PUR-0" });
    service.always(GET, accepted(numbers));
    visit();
    expect(state()).toMatchObject({ receipt: { purchaseNo: "PUR-0" }, outcome: { kind: "purchased" } });
    await pass(0);
    expect(state().receipt).toEqual(kept);
    expect(savedReceipt("DEMO")).toEqual(kept);
  });

  test("FE-6: drops a receipt that the service does not know", async () => {
    saveReceipt("DEMO", kept);
    service.always(GET, refused(404, "NOT_FOUND"));
    visit();
    await pass(0);
    expect(state()).toMatchObject({ receipt: undefined, outcome: undefined });
    expect(savedReceipt("DEMO")).toBeUndefined();
  });

  test("FE-6: keeps a receipt when the question fails, and asks again", async () => {
    saveReceipt("DEMO", kept);
    service.always(GET, "breaks");
    visit();
    await pass(60_000);
    expect(state().receipt).toEqual(kept);
    expect(service.requests(GET)).toHaveLength(3);
  });
});

describe("a pending purchase", () => {
  test("shows its receipt at once, and is repeated until it is recorded", async () => {
    service.next(POST, pending, pending, accepted(numbers));
    visit();
    void checkout.buy("alice");
    await pass(0);
    expect(state()).toMatchObject({ activity: "idle", receipt: kept, outcome: { kind: "pending" } });
    expect(savedAttempt("DEMO")).toBeDefined();
    await pass(4_000);
    expect(outcome()).toBe("purchased");
    expect(savedAttempt("DEMO")).toBeUndefined();
    expect(new Set(sent().map(({ headers }) => headers.get("Idempotency-Key"))).size).toBe(1);
  });

  test("goes on after a reload", async () => {
    saveAttempt(attempt);
    saveReceipt("DEMO", kept);
    service.always(POST, accepted(numbers));
    visit();
    expect(outcome()).toBe("pending");
    await pass(2_000);
    expect(outcome()).toBe("purchased");
  });

  test("stays theirs after two minutes", async () => {
    service.always(POST, pending);
    visit();
    void checkout.buy("alice");
    await pass(130_000);
    expect(state()).toMatchObject({ receipt: kept, outcome: { kind: "pending", stalled: true } });
  });

  test("is asked about when the sale is no more", async () => {
    service.next(POST, pending, refused(200, "SALE_NOT_ACTIVE", { reason: "SALE_REPLACED" }));
    service.always(GET, refused(404, "NOT_FOUND"));
    visit();
    void checkout.buy("alice");
    await pass(3_000);
    expect(state()).toMatchObject({ receipt: undefined, outcome: undefined });
  });
});

test("buying as somebody else forgets the receipt and whose it was", async () => {
  service.always(POST, pending);
  visit();
  void checkout.buy("alice");
  await pass(0);
  checkout.startOver();
  expect(state()).toMatchObject({ receipt: undefined, outcome: undefined });
  expect(Object.keys(localStorage)).toEqual([]);
  const before = sent().length;
  await pass(20_000);
  expect(sent()).toHaveLength(before);
});

describe("other tabs", () => {
  test("that buy show the receipt here, and take it away again", async () => {
    visit();
    elsewhere(() => saveReceipt("DEMO", kept));
    expect(state()).toMatchObject({ receipt: kept, outcome: { kind: "purchased" } });
    elsewhere(() => localStorage.clear());
    expect(state()).toMatchObject({ receipt: undefined, outcome: undefined });
  });

  test("do not disturb an attempt of this one", async () => {
    service.next(POST, "hangs");
    visit();
    void checkout.buy("alice");
    await pass(0);
    elsewhere(() => saveReceipt("DEMO", kept));
    expect(state()).toMatchObject({ activity: "sending", receipt: undefined });
  });
});

test("a sale that replaces this one asks for the receipt anew, or forgets what was refused", async () => {
  service.always(POST, refused(200, "SOLD_OUT"));
  visit();
  void checkout.buy("alice");
  await pass(0);
  checkout.takeSale(saleFixture({ startTime: "2026-11-23T12:05:00.000Z" }));
  expect(outcome()).toBeUndefined();
  elsewhere(() => saveReceipt("DEMO", kept));
  service.always(GET, refused(404, "NOT_FOUND"));
  checkout.takeSale(saleFixture({ startTime: "2026-11-23T12:06:00.000Z" }));
  await pass(0);
  expect(state().receipt).toBeUndefined();
});
