import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { proofFixture } from "../../../testing/challenge-fixture";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import { type FakeWorker, fakeWorkers } from "../../../testing/fake-worker";
import { ServerClock } from "../live/server-clock";
import { ChallengeAnswers, type Checking } from "./answers";

const GET = "GET /api/v1/purchases/challenge";
const captcha = { kind: "CAPTCHA", siteKey: "site", verifier: "captcha.example" } as const;
const none = { kind: "answered", text: undefined };

let service: FakeService;
let workers: FakeWorker[];
let answers: ChallengeAnswers;
let clock: ServerClock;
const onChecking = vi.fn<(checking: Checking | undefined) => void>();

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:10:00.000Z") });
  onChecking.mockClear();
  service = new FakeService();
  service.always(GET, accepted(proofFixture()));
  workers = fakeWorkers();
  clock = new ServerClock();
  answers = new ChallengeAnswers("A/B", clock, onChecking);
  answers.kind = "PROOF_OF_WORK";
});
afterEach(() => {
  delete window.flashsaleCaptcha;
  vi.useRealTimers();
});

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const asked = () => service.requests(GET);
const found = (nonce: string) => workers.at(-1)?.says({ kind: "found", nonce });

/** The answer that `user` gets for a worker's first number. */
async function solve(user: string, nonce: string) {
  const answer = answers.get(user);
  await pass(0);
  found(nonce);
  return await answer;
}

describe("a proof of work", () => {
  test("is asked for in the name of the buyer, and worked out", async () => {
    expect(await solve("Zoë", "1")).toEqual({ kind: "answered", text: "text:1" });
    expect(asked()).toHaveLength(1);
    expect(asked()[0]?.path).toBe("/api/v1/purchases/challenge?sku=A%2FB");
    expect(asked()[0]?.headers.get("X-User-Id")).toBe("ZoÃ«");
    expect(workers[0]?.task).toEqual({ challenge: "text", difficultyBits: 18 });
  });

  test("tells how far it is, and that it is over", async () => {
    const answer = answers.get("alice");
    expect(onChecking).toHaveBeenLastCalledWith({ kind: "PROOF_OF_WORK", share: 0 });
    await pass(0);
    workers[0]?.says({ kind: "tried", tries: 2 ** 18 });
    const share = onChecking.mock.lastCall?.[0]?.share;
    expect(share).toBeCloseTo(0.632, 3);
    found("1");
    await answer;
    expect(onChecking).toHaveBeenLastCalledWith(undefined);
  });

  test("is worked out once for all who wait for it", async () => {
    const both = [answers.get("alice"), answers.get("alice")];
    await pass(0);
    found("1");
    expect((await Promise.all(both)).map((one) => "text" in one && one.text)).toEqual(["text:1", "text:1"]);
    expect(workers).toHaveLength(1);
  });

  test("is kept until ten seconds before it expires, by the service's clock", async () => {
    const serverTime = Date.parse("2026-11-23T12:11:00.000Z");
    clock.take({ serverTime, saidAfter: Date.now(), receivedAt: Date.now() });
    await solve("alice", "1");
    await pass(49_999);
    expect(answers.kept("alice")).toBe("text:1");
    expect(await answers.get("alice")).toEqual({ kind: "answered", text: "text:1" });
    expect(asked()).toHaveLength(1);
    await pass(1);
    expect(answers.kept("alice")).toBeUndefined();
    expect(await solve("alice", "2")).toEqual({ kind: "answered", text: "text:2" });
    expect(asked()).toHaveLength(2);
  });

  test("that expires at once is still sent once", async () => {
    service.always(GET, accepted(proofFixture({ expiresAt: "2026-11-23T12:10:05.000Z" })));
    expect(await solve("alice", "1")).toEqual({ kind: "answered", text: "text:1" });
  });

  test("of one buyer is none of another, and is given up for theirs", async () => {
    void answers.get("alice");
    await pass(0);
    expect(await solve("bob", "1")).toEqual({ kind: "answered", text: "text:1" });
    expect(workers.map(({ isTerminated }) => isTerminated)).toEqual([true, true]);
    expect(answers.kept("alice")).toBeUndefined();
  });

  test("that the service refused is forgotten, and what it asks for instead is answered", async () => {
    await solve("alice", "1");
    answers.demand("alice", proofFixture({ challenge: "other", difficultyBits: 20 }));
    expect(answers.kept("alice")).toBeUndefined();
    expect(await solve("alice", "2")).toEqual({ kind: "answered", text: "other:2" });
    expect(workers[1]?.task).toEqual({ challenge: "other", difficultyBits: 20 });
    expect(asked()).toHaveLength(1);
  });

  test("that this browser cannot do is impossible", async () => {
    const answer = answers.get("alice");
    await pass(0);
    workers[0]?.fails();
    expect(await answer).toEqual({ kind: "impossible", because: "no-worker" });
  });

  test("ends when the page is left", async () => {
    void answers.get("alice");
    await pass(0);
    answers.stop();
    expect(workers[0]?.isTerminated).toBe(true);
    expect(onChecking).toHaveBeenLastCalledWith(undefined);
    await pass(0);
    expect(answers.kept("alice")).toBeUndefined();
  });
});

describe("nothing is sent", () => {
  test.each([undefined, "NONE"] as const)("nor asked for a sale with challenge %s", async (kind) => {
    answers.kind = kind;
    expect(await answers.get("alice")).toEqual(none);
    expect(asked()).toHaveLength(0);
    expect(onChecking).not.toHaveBeenCalled();
  });

  test.each([
    ["asks for none any more", accepted({ kind: "NONE" })],
    ["knows no such sale", refused(404, "NOT_FOUND")],
    ["does not answer", "breaks" as const],
    ["asks for what this page does not know", accepted({ kind: "RIDDLE" })],
    ["asks for more than a browser can do", accepted(proofFixture({ difficultyBits: 33 }))],
  ])("when the service %s: the reply to the purchase will tell", async (_, fate) => {
    service.always(GET, fate);
    expect(await answers.get("alice")).toEqual(none);
  });
});

test("a refusal of a sale that is not known to have a challenge is answered as well", async () => {
  answers.kind = undefined;
  answers.demand("alice", undefined);
  expect(await solve("alice", "1")).toEqual({ kind: "answered", text: "text:1" });
  expect(asked()).toHaveLength(1);
});

describe("a CAPTCHA", () => {
  beforeEach(() => {
    answers.kind = "CAPTCHA";
    service.always(GET, accepted(captcha));
  });

  test("is the business of whoever serves the page", async () => {
    const show = vi.fn(() => Promise.resolve("token"));
    window.flashsaleCaptcha = show;
    const answer = answers.get("alice");
    expect(onChecking).toHaveBeenLastCalledWith({ kind: "CAPTCHA", share: 0 });
    expect(await answer).toEqual({ kind: "answered", text: "token" });
    expect(show).toHaveBeenCalledExactlyOnceWith("site", "captcha.example");
    expect(answers.kept("alice")).toBe("token");
  });

  test("that the page does not have is impossible, and not even asked for", async () => {
    expect(await answers.get("alice")).toEqual({ kind: "impossible", because: "no-captcha" });
    expect(asked()).toHaveLength(0);
  });

  test("that comes as a surprise needs the page's as well", async () => {
    answers.kind = "PROOF_OF_WORK";
    expect(await answers.get("alice")).toEqual({ kind: "impossible", because: "no-captcha" });
  });

  test.each([
    ["was closed", () => Promise.reject(new Error("closed"))],
    ["gave nothing", () => Promise.resolve("")],
    ["gave what no header takes", () => Promise.resolve("a\nb")],
    ["gave too much", () => Promise.resolve("x".repeat(2_049))],
    [
      "fails",
      () => {
        throw new Error("broken");
      },
    ],
  ])("that %s gave no token", async (_, show) => {
    window.flashsaleCaptcha = show;
    expect(await answers.get("alice")).toEqual({ kind: "impossible", because: "no-token" });
    expect(answers.kept("alice")).toBeUndefined();
  });

  test("that is solved after the page lost interest is forgotten", async () => {
    let solve = (_: string) => {};
    window.flashsaleCaptcha = () => new Promise((resolve) => (solve = resolve));
    void answers.get("alice");
    await pass(0);
    answers.stop();
    solve("token");
    await pass(0);
    expect(answers.kept("alice")).toBeUndefined();
  });
});
