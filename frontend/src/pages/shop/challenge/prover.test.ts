import { beforeEach, expect, test, vi } from "vitest";
import { proofFixture } from "../../../testing/challenge-fixture";
import { type FakeWorker, fakeWorkers } from "../../../testing/fake-worker";
import { prove } from "./prover";

const challenge = proofFixture();

let workers: FakeWorker[];
beforeEach(() => {
  workers = fakeWorkers();
});

function start() {
  const caller = new AbortController();
  const onShare = vi.fn();
  return { caller, onShare, answer: prove(challenge, onShare, caller.signal) };
}

test("a worker is told the task, and what it finds is the answer", async () => {
  const { answer } = start();
  expect(workers).toHaveLength(1);
  expect(workers[0]?.task).toEqual({ challenge: "text", difficultyBits: 18 });
  workers[0]?.says({ kind: "found", nonce: "1000000042" });
  expect(await answer).toBe("text:1000000042");
  expect(workers[0]?.isTerminated).toBe(true);
});

test("it says how likely it was to be done by now", () => {
  const { onShare } = start();
  for (const tries of [2 ** 15, 2 ** 18, 2 ** 21]) workers[0]?.says({ kind: "tried", tries });
  const shares: number[] = onShare.mock.calls.map(([share]) => share);
  expect(shares[0]).toBeCloseTo(0.118, 3);
  expect(shares[1]).toBeCloseTo(0.632, 3);
  expect(shares[2]).toBeCloseTo(0.9997, 4);
});

test("it ends with the page's interest in it", async () => {
  const { caller, answer } = start();
  caller.abort();
  expect(await answer).toBeUndefined();
  expect(workers[0]?.isTerminated).toBe(true);
});

test("nothing is started for who has left already", async () => {
  expect(await prove(challenge, () => {}, AbortSignal.abort())).toBeUndefined();
  expect(workers).toHaveLength(0);
});

test("a worker that does not run gives no answer", async () => {
  const { answer } = start();
  workers[0]?.fails();
  expect(await answer).toBeUndefined();
  expect(workers[0]?.isTerminated).toBe(true);
});

test.each([
  ["has none", undefined],
  [
    "forbids them",
    class {
      constructor() {
        throw new DOMException("refused", "SecurityError");
      }
    },
  ],
])("a browser that %s gives no answer", async (_, Worker) => {
  vi.stubGlobal("Worker", Worker);
  expect(await start().answer).toBeUndefined();
});
