import { describe, expect, test } from "vitest";
import { asClock, inWords, remaining } from "./remaining";

const SECOND = 1_000;
const DAY = 86_400 * SECOND;

describe("FE-1: what is left", () => {
  test.each([
    [0, "00:00:00", "0 seconds"],
    [-5_000, "00:00:00", "0 seconds"],
    [1, "00:00:01", "1 second"],
    [1_000, "00:00:01", "1 second"],
    [1_001, "00:00:02", "2 seconds"],
    [61_000, "00:01:01", "1 minute 1 second"],
    [120_000, "00:02:00", "2 minutes"],
    [3_600_000 + 5_000, "01:00:05", "1 hour"],
    [DAY, "1 d 00:00:00", "1 day"],
    [2 * DAY + 3 * 3_600_000 + 59_000, "2 d 03:00:59", "2 days 3 hours"],
  ])("of %i ms", (milliseconds, clock, words) => {
    const left = remaining(1_000_000 + milliseconds, 1_000_000);
    expect([asClock(left), inWords(left)]).toEqual([clock, words]);
  });
});
