import { expect, test } from "vitest";
import { checkIdentifier } from "./identifier";

test.each([
  ["alice@example.org", "alice@example.org"],
  ["  4711  ", "4711"],
  ["Zoë 王", "Zoë 王"],
  ["x".repeat(255), "x".repeat(255)],
  ["🙂".repeat(255), "🙂".repeat(255)],
])("FE-5: %j is taken, without the blanks around it", (text, user) => {
  expect(checkIdentifier(text)).toEqual({ valid: true, user });
});

test.each(["", "   ", "\t\n", "x".repeat(256), "🙂".repeat(256), "a\u0000b", "a\u0085b"])(
  "FE-5: %j never reaches the service",
  (text) => {
    expect(checkIdentifier(text)).toEqual({ valid: false, why: expect.any(String) });
  },
);
