import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { OpsClient } from "../../../api/ops-client";
import { isText } from "../../../api/shape";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import { setVisibility } from "../../../testing/visibility";
import { Poll } from "./poll";

let service: FakeService;
let poll: Poll<string>;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:00:00.000Z") });
  service = new FakeService();
  service.always("GET /x", accepted("one"));
  const ops = new OpsClient({ key: "k", operator: "ann" });
  poll = new Poll((signal) => ops.get("/x", isText, {}, signal), 2_000);
});
afterEach(() => {
  poll.stop();
  setVisibility("visible");
  vi.useRealTimers();
});

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const asked = () => service.requests("GET /x").length;

test("it is asked at once, every 2 s, and not after its end", async () => {
  poll.start();
  await pass(0);
  expect(poll.getState()).toEqual({ data: "one", at: Date.now(), problem: undefined });
  await pass(4_000);
  expect(asked()).toBe(3);
  poll.stop();
  await pass(60_000);
  expect(asked()).toBe(3);
});

test("a question under way is not asked a second time", async () => {
  service.always("GET /x", "hangs");
  poll.start();
  await pass(14_000);
  expect(asked()).toBe(1);
  // The client has given up, and the next is asked after the usual pause.
  await pass(3_000);
  expect(asked()).toBe(2);
});

test("a hidden tab asks nothing, and at once when it is looked at", async () => {
  poll.start();
  await pass(0);
  setVisibility("hidden");
  await pass(60_000);
  expect(asked()).toBe(1);
  setVisibility("visible");
  await pass(0);
  expect(asked()).toBe(2);
});

test("a failure keeps what was heard, with when", async () => {
  poll.start();
  await pass(0);
  const { at } = poll.getState();
  service.always("GET /x", refused(503, "SERVICE_UNAVAILABLE"));
  await pass(6_000);
  expect(poll.getState()).toMatchObject({ data: "one", at, problem: { kind: "refusal", status: 503 } });
  service.always("GET /x", accepted("two"));
  await pass(2_000);
  expect(poll.getState()).toMatchObject({ data: "two", problem: undefined });
});

test("what is wanted anew during a question is asked right after it", async () => {
  service.next("GET /x", accepted("old"), accepted("new"));
  poll.start();
  poll.refresh();
  poll.refresh();
  await pass(0);
  expect(asked()).toBe(2);
  expect(poll.getState().data).toBe("new");
});

test("it can be started again", async () => {
  service.next("GET /x", "hangs");
  poll.start();
  poll.stop();
  poll.start();
  await pass(0);
  expect(poll.getState().data).toBe("one");
});
