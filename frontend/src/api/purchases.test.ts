import { beforeEach, describe, expect, test } from "vitest";
import { proofFixture } from "../testing/challenge-fixture";
import { accepted, FakeService, type Fate, refused } from "../testing/fake-service";
import { purchase, type Reply, readReceipt } from "./purchases";

const POST = "POST /api/v1/purchases";
const GET = "GET /api/v1/purchases";
const captcha = { kind: "CAPTCHA", siteKey: "site", verifier: "captcha.example" } as const;
const receipt = { purchaseNo: "PUR-1", purchasedAt: "2026-11-23T12:00:00.123Z" };

let service: FakeService;
beforeEach(() => {
  service = new FakeService();
});

const send = () => purchase({ sku: "DEMO", user: "alice", key: "k-1" });

test("an attempt says who buys what, and its key", async () => {
  service.next(POST, accepted(receipt));
  await send();
  const [sent] = service.requests(POST);
  expect(sent?.json).toEqual({ sku: "DEMO" });
  expect(sent?.headers.get("X-User-Id")).toBe("alice");
  expect(sent?.headers.get("Idempotency-Key")).toBe("k-1");
  expect(sent?.headers.get("Content-Type")).toBe("application/json");
});

test("an attempt carries an answer to a challenge only where there is one", async () => {
  service.always(POST, accepted(receipt));
  await send();
  await purchase({ sku: "DEMO", user: "alice", key: "k-1" }, undefined, "text:1");
  const sent = service.requests(POST).map(({ headers }) => headers.get("X-Challenge-Response"));
  expect(sent).toEqual([null, "text:1"]);
});

test.each(["Zoë", "王小明", "a🙂b"])("the identifier %s goes as UTF-8", async (user) => {
  await purchase({ sku: "DEMO", user, key: "k" });
  const sent = service.requests(POST)[0]?.headers.get("X-User-Id") ?? "";
  const bytes = Uint8Array.from(sent, (char) => char.charCodeAt(0));
  expect(new TextDecoder().decode(bytes)).toBe(user);
});

describe("FE-4: every answer to an attempt is told apart", () => {
  const reasons = ["NOT_STARTED", "TIME_EXPIRED", "PAUSED", "SALE_REPLACED"] as const;
  const answers: [string, Fate, Reply][] = [
    ["200", accepted(receipt), { kind: "purchased", receipt }],
    ["202", accepted({ ...receipt, status: "PENDING" }, 202), { kind: "pending", receipt }],
    [
      "already purchased",
      refused(200, "ALREADY_PURCHASED", { purchase: receipt }),
      { kind: "already-purchased", receipt },
    ],
    ["already purchased without a receipt", refused(200, "ALREADY_PURCHASED"), { kind: "silence" }],
    ["sold out", refused(200, "SOLD_OUT"), { kind: "sold-out" }],
    ...reasons.map((reason): [string, Fate, Reply] => [
      reason,
      refused(200, "SALE_NOT_ACTIVE", { reason }),
      { kind: "not-active", reason },
    ]),
    [
      "a challenge",
      refused(403, "CHALLENGE_REQUIRED", { challenge: proofFixture() }),
      { kind: "challenged", challenge: proofFixture() },
    ],
    [
      "a challenge that was not met",
      refused(403, "CHALLENGE_FAILED", { challenge: captcha }),
      { kind: "challenged", challenge: captcha },
    ],
    [
      "a challenge without its text",
      refused(403, "CHALLENGE_REQUIRED", { challenge: { kind: "PROOF_OF_WORK", difficultyBits: 18 } }),
      { kind: "challenged", challenge: undefined },
    ],
    ["no right to it", refused(403, "FORBIDDEN"), { kind: "invalid", field: "request" }],
    ["no such sale", refused(404, "NOT_FOUND"), { kind: "not-active", reason: "NO_SALE" }],
    [
      "a bad identifier",
      refused(400, "VALIDATION_ERROR", { fields: { userId: "no" } }),
      { kind: "invalid", field: "user" },
    ],
    [
      "a bad request",
      refused(400, "VALIDATION_ERROR", { fields: { sku: "no" } }),
      { kind: "invalid", field: "request" },
    ],
    ["a key used twice", refused(409, "IDEMPOTENCY_KEY_REUSED"), { kind: "invalid", field: "request" }],
    [
      "too many tries",
      refused(429, "RATE_LIMITED", { retryAfter: 2 }),
      { kind: "rate-limited", retryAfterMs: 2_000 },
    ],
    [
      "busy",
      refused(503, "SERVICE_UNAVAILABLE", {}, { "Retry-After": "4" }),
      { kind: "busy", retryAfterMs: 4_000 },
    ],
    ["busy without a time", refused(503, "SERVICE_UNAVAILABLE"), { kind: "busy", retryAfterMs: 1_000 }],
    ["an error inside", refused(500, "INTERNAL"), { kind: "silence" }],
    ["a broken connection", "breaks", { kind: "silence" }],
  ];

  test.each(answers)("%s", async (_, fate, reply) => {
    service.next(POST, fate);
    expect(await send()).toEqual(reply);
  });
});

describe("FE-6: the receipt that the service knows", () => {
  test.each([
    ["held", accepted(receipt), { kind: "held", receipt }],
    ["none", refused(404, "NOT_FOUND"), { kind: "none" }],
    ["a 404 of something in between", { status: 404, body: "no" }, { kind: "unknown" }],
    ["busy", refused(503, "SERVICE_UNAVAILABLE"), { kind: "unknown" }],
    ["a broken connection", "breaks" as const, { kind: "unknown" }],
  ])("%s", async (_, fate, answer) => {
    service.next(GET, fate);
    expect(await readReceipt("DEMO", "alice")).toEqual(answer);
  });
});
