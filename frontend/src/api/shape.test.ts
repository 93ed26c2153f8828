import { expect, test } from "vitest";
import { isNumber, isText, listOf, oneOf, orNull, recordOf, shaped } from "./shape";

const isPoint = shaped<{ x: number; name: string | null }>({ x: isNumber, name: orNull(isText) });

test.each([
  [{ x: 1, name: null }, true],
  [{ x: 1, name: "a", more: true }, true],
  [{ x: 1 }, false],
  [{ x: "1", name: "a" }, false],
  [{ x: Number.NaN, name: "a" }, false],
  [null, false],
  [[], false],
])("whether %j has the shape", (value, expected) => {
  expect(isPoint(value)).toBe(expected);
});

test("lists, records and one of several texts", () => {
  expect(listOf(isText)(["a", "b"])).toBe(true);
  expect(listOf(isText)(["a", 1])).toBe(false);
  expect(recordOf(isNumber)({ a: 1 })).toBe(true);
  expect(recordOf(isNumber)({ a: null })).toBe(false);
  expect(oneOf("OK", "WARN")("WARN")).toBe(true);
  expect(oneOf("OK", "WARN")("STOP")).toBe(false);
});
