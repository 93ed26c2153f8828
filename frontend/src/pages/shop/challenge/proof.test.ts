// @vitest-environment node
import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { findNonce, TRIES_A_WORD } from "./proof";

const nobody = () => {};

/** By another implementation of SHA-256. */
function zeroBits(text: string): number {
  const bits = [...createHash("sha256").update(text).digest()].map((byte) =>
    byte.toString(2).padStart(8, "0"),
  );
  return bits.join("").indexOf("1");
}

test.each([
  ["abc", 0, "1000000000"],
  ["abc", 1, "1000000000"],
  ["abc", 8, "1000000140"],
  ["abc", 12, "1000000157"],
  ["abc", 16, "1000040900"],
  ["eyJza3UiOiJERU1PIn0.c2lnbmF0dXJl", 16, "1000062685"],
])("a known answer: %s with %i bits", (challenge, difficultyBits, nonce) => {
  expect(findNonce(challenge, difficultyBits, nobody)).toBe(nonce);
});

describe("what is found begins with enough zeros, and is the first that does", () => {
  test.each([1, 3, 7, 8, 9, 11])("%i bits", (difficultyBits) => {
    const nonce = Number(findNonce("DEMO", difficultyBits, nobody));
    expect(zeroBits(`DEMO:${nonce}`)).toBeGreaterThanOrEqual(difficultyBits);
    for (let earlier = 1_000_000_000; earlier < nonce; earlier += 1) {
      expect(zeroBits(`DEMO:${earlier}`)).toBeLessThan(difficultyBits);
    }
  });

  // A hash takes blocks of 64 bytes, and more after the text.
  test.each([43, 44, 45, 52, 53, 63, 64, 117, 200])("a challenge of %i characters", (length) => {
    const challenge = "x".repeat(length);
    const nonce = findNonce(challenge, 8, nobody);
    expect(zeroBits(`${challenge}:${nonce}`)).toBeGreaterThanOrEqual(8);
  });

  test("also one that is not ASCII", () => {
    expect(zeroBits(`Zoë 王:${findNonce("Zoë 王", 8, nobody)}`)).toBeGreaterThanOrEqual(8);
  });
});

test("it says now and then how many it has tried", () => {
  const onTries = vi.fn();
  findNonce("abc", 16, onTries);
  expect(onTries.mock.calls).toEqual([[TRIES_A_WORD]]);
});
