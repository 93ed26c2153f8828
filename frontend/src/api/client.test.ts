import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { accepted, FakeService, refused } from "../testing/fake-service";
import { type Answer, request } from "./client";

let service: FakeService;
beforeEach(() => {
  vi.useFakeTimers();
  service = new FakeService();
});
afterEach(() => vi.useRealTimers());

const isText = (data: unknown): data is string => typeof data === "string";
const ask = (signal?: AbortSignal): Promise<Answer<string>> =>
  request("/x", { timeoutMs: 1_000, accept: isText, ...(signal === undefined ? {} : { signal }) });

test("a success has the data, its tag, and when it was under way", async () => {
  service.next("GET /x", accepted("yes", 200, { ETag: 'W/"1"' }));
  const now = Date.now();
  expect(await ask()).toEqual({
    kind: "success",
    status: 200,
    data: "yes",
    etag: 'W/"1"',
    timing: { sentAt: now, receivedAt: now, saidAfter: now },
  });
});

test.each<[string, Record<string, string>, number | undefined]>([
  ["fetched by nginx just now", { "X-Cache-Status": "EXPIRED" }, 0],
  ["kept by nginx for a second, of whole ones", { "X-Cache-Status": "HIT" }, 2_000],
  ["served by nginx though it is old: unknown", { "X-Cache-Status": "STALE" }, undefined],
  ["served by nginx while it fetches a newer one: unknown", { "X-Cache-Status": "UPDATING" }, undefined],
  ["kept by another cache, which counts whole seconds", { Age: "3", "X-Cache-Status": "MISS" }, 4_000],
  ["kept by a cache that says no number: unknown", { Age: "old" }, undefined],
])("how old an answer can be: %s", async (_, headers, ageMs) => {
  service.next("GET /x", accepted("yes", 200, headers));
  const saidAfter = ageMs === undefined ? undefined : Date.now() - ageMs;
  expect(await ask()).toMatchObject({ kind: "success", timing: { saidAfter } });
});

test("a 304 is `unchanged`", async () => {
  service.next("GET /x", { status: 304, body: null });
  expect(await ask()).toEqual({ kind: "unchanged" });
});

test("a refusal has the code, and how long to wait", async () => {
  service.next("GET /x", refused(429, "RATE_LIMITED", { retryAfter: 3 }, { "Retry-After": "9" }));
  expect(await ask()).toMatchObject({ kind: "refusal", status: 429, retryAfterMs: 3_000 });
  service.next("GET /x", refused(503, "SERVICE_UNAVAILABLE", {}, { "Retry-After": "2" }));
  expect(await ask()).toMatchObject({ error: { code: "SERVICE_UNAVAILABLE" }, retryAfterMs: 2_000 });
  service.next("GET /x", refused(200, "SOLD_OUT"));
  expect(await ask()).toMatchObject({ kind: "refusal", status: 200, retryAfterMs: undefined });
});

test.each([
  ["another shape of data", accepted(7)],
  ["no envelope", { status: 200, body: "hello" }],
  ["an envelope without a code", { status: 400, body: { success: false, error: {} } }],
  ["a proxy's page", { status: 502, body: ["<html>"] }],
  ["a broken connection", "breaks" as const],
])("%s is silence", async (_, fate) => {
  service.next("GET /x", fate);
  expect(await ask()).toEqual({ kind: "silence" });
});

test("no answer in time is silence", async () => {
  service.next("GET /x", "hangs");
  const answer = vi.fn();
  void ask().then(answer);
  await vi.advanceTimersByTimeAsync(999);
  expect(answer).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(answer).toHaveBeenCalledWith({ kind: "silence" });
});

test("a caller that lost interest gets silence at once", async () => {
  service.always("GET /x", "hangs");
  const caller = new AbortController();
  const answer = ask(caller.signal);
  caller.abort();
  expect(await answer).toEqual({ kind: "silence" });
  expect(await ask(caller.signal)).toEqual({ kind: "silence" });
});
