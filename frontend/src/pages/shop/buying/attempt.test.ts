import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { proofFixture } from "../../../testing/challenge-fixture";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import { type FakeWorker, fakeWorkers } from "../../../testing/fake-worker";
import { ChallengeAnswers } from "../challenge/answers";
import { ServerClock } from "../live/server-clock";
import { awaitRecord, settle } from "./attempt";

const POST = "POST /api/v1/purchases";
const CHALLENGE = "GET /api/v1/purchases/challenge";
const attempt = { sku: "DEMO", user: "alice", key: "k-1" };
const receipt = { purchaseNo: "PUR-1", purchasedAt: "2026-11-23T12:00:00.123Z" };
const purchased = accepted(receipt);
const limited = refused(429, "RATE_LIMITED", { retryAfter: 1 });
const busy = refused(503, "SERVICE_UNAVAILABLE", {}, { "Retry-After": "3" });

let service: FakeService;
let workers: FakeWorker[];
let answers: ChallengeAnswers;
beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.spyOn(Math, "random").mockReturnValue(0);
  service = new FakeService();
  workers = fakeWorkers();
  answers = new ChallengeAnswers("DEMO", new ServerClock(), () => {});
});
afterEach(() => vi.useRealTimers());

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const keys = () => service.requests(POST).map(({ headers }) => headers.get("Idempotency-Key"));
const responses = () => service.requests(POST).map(({ headers }) => headers.get("X-Challenge-Response"));

/** The newest worker finds `nonce`. */
async function find(nonce: string): Promise<void> {
  await pass(0);
  workers.at(-1)?.says({ kind: "found", nonce });
  await pass(0);
}

function start(maybeDecided = false) {
  const caller = new AbortController();
  const onRetry = vi.fn();
  const onEnd = vi.fn();
  void settle(attempt, { maybeDecided, onRetry, answers, signal: caller.signal }).then(onEnd);
  return { caller, onRetry, onEnd };
}

describe("FE-8: an attempt", () => {
  test.each([
    ["purchased", purchased, { kind: "purchased", receipt }],
    [
      "pending",
      accepted({ ...receipt, status: "PENDING" }, 202),
      { kind: "pending", receipt, stalled: false },
    ],
    ["sold out", refused(200, "SOLD_OUT"), { kind: "sold-out" }],
    [
      "paused",
      refused(200, "SALE_NOT_ACTIVE", { reason: "PAUSED" }),
      { kind: "not-active", reason: "PAUSED" },
    ],
    ["invalid", refused(400, "VALIDATION_ERROR"), { kind: "invalid", field: "request" }],
    ["rate limited", limited, { kind: "rate-limited", until: 1_001_000 }],
  ])("that is %s is over", async (_, fate, outcome) => {
    service.next(POST, fate);
    const { onEnd } = start();
    await pass(60_000);
    expect(onEnd).toHaveBeenCalledWith(outcome);
    expect(keys()).toEqual(["k-1"]);
  });

  test("without an answer for 8 s is sent again with the same key", async () => {
    service.next(POST, "hangs", purchased);
    const { onEnd, onRetry } = start();
    await pass(7_999);
    expect(onRetry).not.toHaveBeenCalled();
    await pass(1);
    expect(onRetry).toHaveBeenCalledWith({ nextTry: 2, because: "silence" });
    await pass(500);
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(keys()).toEqual(["k-1", "k-1"]);
  });

  test("is sent six times at most; then nobody knows", async () => {
    service.always(POST, "breaks");
    const { onEnd } = start();
    await pass(120_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "unknown" });
    expect(keys()).toEqual(Array(6).fill("k-1"));
  });

  test("waits after a 503 as long as it is told", async () => {
    service.next(POST, busy, purchased);
    const { onEnd, onRetry } = start();
    await pass(0);
    expect(onRetry).toHaveBeenCalledWith({ nextTry: 2, because: "busy" });
    await pass(2_999);
    expect(keys()).toHaveLength(1);
    await pass(1);
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
  });

  test("does not stand still for longer than half a minute", async () => {
    service.next(POST, refused(503, "SERVICE_UNAVAILABLE", {}, { "Retry-After": "3600" }), purchased);
    const { onEnd } = start();
    await pass(30_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
  });

  test("goes on after a 429 when an earlier try may have been decided", async () => {
    service.next(POST, "breaks", limited, purchased);
    const { onEnd } = start();
    await pass(10_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(keys()).toHaveLength(3);
    service.next(POST, limited, purchased);
    const resumed = start(true);
    await pass(10_000);
    expect(resumed.onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
  });

  test("whose repetition is refused as already purchased has that receipt", async () => {
    service.next(POST, "breaks", refused(200, "ALREADY_PURCHASED", { purchase: receipt }));
    const { onEnd } = start();
    await pass(10_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "already-purchased", receipt });
  });

  test("that the page gave up sends nothing more", async () => {
    service.always(POST, "breaks");
    const { onEnd, caller } = start();
    await pass(0);
    caller.abort();
    await pass(120_000);
    expect(onEnd).toHaveBeenCalledWith(undefined);
    expect(keys()).toHaveLength(1);
  });
});

describe("an attempt in a sale with a challenge", () => {
  const challenge = proofFixture({ challenge: "other" });
  const required = refused(403, "CHALLENGE_REQUIRED", { challenge });
  const failed = refused(403, "CHALLENGE_FAILED", { challenge });

  beforeEach(() => {
    answers.kind = "PROOF_OF_WORK";
    service.always(CHALLENGE, accepted(proofFixture()));
  });

  test("waits for the answer, and goes with it", async () => {
    service.next(POST, purchased);
    const { onEnd } = start();
    await pass(60_000);
    expect(keys()).toEqual([]);
    await find("1");
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(responses()).toEqual(["text:1"]);
  });

  test("is repeated with the same key and the same answer", async () => {
    service.next(POST, "breaks", busy, purchased);
    const { onEnd } = start();
    await find("1");
    await pass(20_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(responses()).toEqual(Array(3).fill("text:1"));
    expect(new Set(keys()).size).toBe(1);
    expect(service.requests(CHALLENGE)).toHaveLength(1);
  });

  test("is repeated with a new answer when the old one is about to expire", async () => {
    const expiresAt = new Date(Date.now() + 17_000).toISOString();
    service.next(CHALLENGE, accepted(proofFixture({ expiresAt })));
    service.next(POST, "hangs", purchased);
    const { onEnd } = start();
    await find("1");
    await pass(8_500);
    await find("2");
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(responses()).toEqual(["text:1", "text:2"]);
  });

  test.each([
    ["it is missing", required],
    ["it is not good enough", failed],
  ])("that is refused because %s answers what came with that, with the same key", async (_, fate) => {
    answers.kind = undefined;
    service.next(POST, fate, purchased);
    const { onEnd } = start();
    await find("2");
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(responses()).toEqual([null, "other:2"]);
    expect(keys()).toEqual(["k-1", "k-1"]);
    expect(service.requests(CHALLENGE)).toHaveLength(0);
  });

  test("that is refused without a word on what is asked asks for that", async () => {
    answers.kind = undefined;
    service.next(POST, refused(403, "CHALLENGE_REQUIRED"), purchased);
    const { onEnd } = start();
    await find("1");
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(responses()).toEqual([null, "text:1"]);
  });

  test("that is refused twice is over, and its answer forgotten", async () => {
    service.always(POST, failed);
    const { onEnd } = start();
    await find("1");
    await find("2");
    expect(onEnd).toHaveBeenCalledWith({ kind: "unproved", because: "refused" });
    expect(responses()).toEqual(["text:1", "other:2"]);
    expect(answers.kept("alice")).toBeUndefined();
  });

  test("that came back too soon after the refusal waits, and is repeated", async () => {
    service.next(POST, required, limited, purchased);
    const { onEnd } = start();
    await find("1");
    await find("2");
    await pass(2_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "purchased", receipt });
    expect(responses()).toEqual(["text:1", "other:2", "other:2"]);
  });

  test("in a browser that cannot answer it is over before it was sent", async () => {
    const { onEnd } = start();
    await pass(0);
    workers[0]?.fails();
    await pass(0);
    expect(onEnd).toHaveBeenCalledWith({ kind: "unproved", because: "no-worker" });
    expect(keys()).toEqual([]);
  });

  test("that may have been decided is not called off for that", async () => {
    service.always(POST, failed);
    const { onEnd } = start(true);
    await find("1");
    await find("2");
    expect(onEnd).toHaveBeenCalledWith({ kind: "unknown" });
    const resumed = start(true);
    await pass(0);
    workers.at(-1)?.fails();
    await pass(0);
    expect(resumed.onEnd).toHaveBeenCalledWith({ kind: "unknown" });
  });

  test("that the page gave up is not sent when its answer comes", async () => {
    const { onEnd, caller } = start();
    await pass(0);
    caller.abort();
    await find("1");
    expect(onEnd).toHaveBeenCalledWith(undefined);
    expect(keys()).toEqual([]);
  });
});

describe("a pending purchase", () => {
  const pending = accepted({ ...receipt, status: "PENDING" }, 202);

  function follow() {
    const onEnd = vi.fn();
    const caller = new AbortController();
    void awaitRecord(attempt, answers, caller.signal).then(onEnd);
    return { onEnd, caller };
  }

  test("is asked about every 2 s until it is recorded, whatever comes between", async () => {
    service.next(POST, pending, limited, busy, "breaks", purchased);
    const { onEnd } = follow();
    await pass(9_999);
    expect(onEnd).not.toHaveBeenCalled();
    await pass(1);
    expect(onEnd).toHaveBeenCalledWith({ kind: "recorded", receipt });
    expect(keys()).toEqual(Array(5).fill("k-1"));
  });

  test("is theirs also when two minutes were not enough", async () => {
    service.always(POST, pending);
    const { onEnd } = follow();
    await pass(121_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "stalled" });
  });

  test("of a sale that is no more is in question", async () => {
    service.always(POST, refused(404, "NOT_FOUND"));
    const { onEnd } = follow();
    await pass(2_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "disputed" });
  });

  test("is asked about with the answer there is, and with a new one when that expires", async () => {
    answers.demand("alice", proofFixture({ challenge: "first" }));
    void answers.get("alice");
    await find("1");
    const challenge = proofFixture({ challenge: "second" });
    service.next(POST, pending, refused(403, "CHALLENGE_FAILED", { challenge }), purchased);
    const { onEnd } = follow();
    await pass(4_000);
    await find("2");
    await pass(2_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "recorded", receipt });
    expect(responses()).toEqual(["first:1", "first:1", "second:2"]);
  });

  test("stays theirs without a CAPTCHA that nobody waits for", async () => {
    const challenge = { kind: "CAPTCHA", siteKey: "site", verifier: "captcha.example" };
    service.next(POST, refused(403, "CHALLENGE_FAILED", { challenge }));
    const { onEnd } = follow();
    await pass(2_000);
    expect(onEnd).toHaveBeenCalledWith({ kind: "stalled" });
  });

  test("is asked about no more when the page gave up", async () => {
    const { onEnd, caller } = follow();
    caller.abort();
    await pass(10_000);
    expect(onEnd).toHaveBeenCalledWith(undefined);
    expect(keys()).toEqual([]);
  });
});
