import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeService, refused } from "../testing/fake-service";
import { saleFixture } from "../testing/sale-fixture";
import { followSale, parseEvent } from "./sale-events";

let service: FakeService;
beforeEach(() => {
  vi.useFakeTimers();
  service = new FakeService();
  service.sales = [saleFixture()];
});
afterEach(() => vi.useRealTimers());

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

function follow(lastEventId?: string) {
  const caller = new AbortController();
  const handlers = { onOpen: vi.fn(), onEvent: vi.fn(), onId: vi.fn(), onRetry: vi.fn() };
  const onEnd = vi.fn();
  void followSale("DEMO", lastEventId, handlers, caller.signal).then(onEnd);
  return { ...handlers, onEnd, caller };
}

test("events, ids and the wished delay are handed on, also in pieces", async () => {
  const { onOpen, onEvent, onId, onRetry } = follow();
  await pass(0);
  expect(onOpen).toHaveBeenCalledOnce();
  service.stream.say("retry: 2500\n\n");
  service.stream.event("initial", saleFixture(), "a-1");
  service.stream.say("id: a-2\nevent: stock-upd");
  service.stream.say('ate\ndata: {"sku":"DEMO","stock":7}\n\n');
  await pass(0);
  expect(onRetry).toHaveBeenCalledWith(2_500);
  expect(onId.mock.calls).toEqual([["a-1"], ["a-2"]]);
  expect(onEvent.mock.calls).toEqual([
    [{ type: "initial", sale: saleFixture() }],
    [{ type: "stock-update", stock: 7 }],
  ]);
});

test.each([
  [undefined, true],
  ["NONE", true],
  ["PROOF_OF_WORK", true],
  ["CAPTCHA", true],
  ["RIDDLE", false],
  [null, false],
])("a sale with the challenge %s is one: %s", (challenge, isOne) => {
  const data = JSON.stringify({ ...saleFixture(), challenge });
  expect(parseEvent({ event: "initial", data, id: undefined }) !== undefined).toBe(isOne);
});

test("a resumed stream names the last event", async () => {
  follow("a-9");
  follow();
  const [resumed, fresh] = service.requests("GET /api/v1/sales/events");
  expect(resumed?.headers.get("Last-Event-ID")).toBe("a-9");
  expect(fresh?.headers.has("Last-Event-ID")).toBe(false);
});

test("FE-7: heartbeats keep a stream alive, and 40 s without a byte are its end", async () => {
  const { onEnd } = follow();
  await pass(0);
  for (let beat = 0; beat < 10; beat += 1) {
    service.stream.say(":\n\n");
    await pass(39_999);
  }
  expect(onEnd).not.toHaveBeenCalled();
  await pass(1);
  expect(onEnd).toHaveBeenCalledWith({ kind: "silent" });
  expect(service.stream.isAborted).toBe(true);
});

test("the end of a stream and its break are the same", async () => {
  const [ended, broken] = [follow(), follow()];
  await pass(0);
  service.streams[0]?.end();
  service.streams[1]?.break();
  await pass(0);
  expect(ended.onEnd).toHaveBeenCalledWith({ kind: "ended" });
  expect(broken.onEnd).toHaveBeenCalledWith({ kind: "ended" });
});

test("a refusal is told with its code and its wait", async () => {
  service.next("GET /api/v1/sales/events", refused(429, "RATE_LIMITED", {}, { "Retry-After": "5" }));
  const { onEnd } = follow();
  await pass(0);
  expect(onEnd).toHaveBeenCalledWith({
    kind: "refused",
    refusal: expect.objectContaining({ status: 429, retryAfterMs: 5_000 }),
  });
});

test.each([["breaks" as const], [{ status: 502, body: "<html>" }], [{ status: 200, body: {} }]])(
  "no stream and no refusal is no connection: %o",
  async (fate) => {
    service.next("GET /api/v1/sales/events", fate);
    const { onEnd, onOpen } = follow();
    await pass(0);
    expect(onEnd).toHaveBeenCalledWith({ kind: "unreachable" });
    expect(onOpen).not.toHaveBeenCalled();
  },
);

test("an answer that does not begin within 10 s is no connection", async () => {
  service.next("GET /api/v1/sales/events", "hangs");
  const { onEnd } = follow();
  await pass(9_999);
  expect(onEnd).not.toHaveBeenCalled();
  await pass(1);
  expect(onEnd).toHaveBeenCalledWith({ kind: "unreachable" });
});

test("the caller can end it", async () => {
  const { onEnd, caller } = follow();
  await pass(0);
  caller.abort();
  await pass(0);
  expect(onEnd).toHaveBeenCalledOnce();
  expect(service.stream.isAborted).toBe(true);
});

test.each([
  ["stock-update", { stock: 3 }, { type: "stock-update", stock: 3 }],
  ["stock-update", { stock: "3" }, undefined],
  ["state-change", { state: "ACTIVE" }, { type: "state-change", state: "ACTIVE", reason: undefined }],
  [
    "state-change",
    { state: "ENDED", reason: "SOLD_OUT" },
    { type: "state-change", state: "ENDED", reason: "SOLD_OUT" },
  ],
  ["state-change", { state: "GONE" }, undefined],
  ["reset", { sku: "DEMO" }, { type: "reset" }],
  ["initial", { sku: "DEMO" }, undefined],
  ["a new kind", {}, undefined],
])("%s %o is read", (event, data, expected) => {
  expect(parseEvent({ event, data: JSON.stringify(data) })).toEqual(expected);
});

test("what is no JSON is no event", () => {
  expect(parseEvent({ event: "initial", data: "{" })).toBeUndefined();
});
