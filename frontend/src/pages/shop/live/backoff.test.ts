import { expect, test, vi } from "vitest";
import { backoffMs, jitterMs } from "./backoff";

test("FE-7: the wait doubles up to 15 s", () => {
  vi.spyOn(Math, "random").mockReturnValue(1);
  expect([1, 2, 3, 4, 5, 50].map((failures) => backoffMs(failures, 1_000))).toEqual([
    1_000, 2_000, 4_000, 8_000, 15_000, 15_000,
  ]);
});

test("FE-7: half of the wait is left to chance", () => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  expect(backoffMs(3, 1_000)).toBe(2_000);
  expect(jitterMs(200, 800)).toBe(200);
});
