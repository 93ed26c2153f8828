import { expect, test } from "vitest";
import { asText, clockTime, fromInput, milliseconds, moment, plural, rate, span, toInput } from "./format";

test.each([
  [0, "0 s"],
  [0.44, "0.4 s"],
  [12.4, "12 s"],
  [60, "1 min"],
  [200, "3 min 20 s"],
  [7_500, "2 h 5 min"],
  [273_600, "3 d 4 h"],
])("a span of %d s", (seconds, text) => {
  expect(span(seconds)).toBe(text);
});

test("rates, milliseconds and numbers of things", () => {
  expect([rate(0), rate(2.54), rate(12_345.6)]).toEqual(["0 /s", "2.5 /s", "12,346 /s"]);
  expect([milliseconds(0.25), milliseconds(12.4), milliseconds(1_500)]).toEqual(["0.3 ms", "12 ms", "1.5 s"]);
  expect([plural(1, "letter"), plural(3, "letter")]).toEqual(["1 letter", "3 letters"]);
});

test("moments are in UTC, wherever one is", () => {
  expect(moment("2026-11-23T12:10:00.123+02:00")).toBe("2026-11-23 10:10:00");
  expect(clockTime(Date.parse("2026-11-23T12:10:00Z") / 1_000)).toBe("12:10:00");
});

test("a moment goes into an input and comes out as it was", () => {
  expect(toInput("2026-11-23T12:10:00.000Z")).toBe("2026-11-23T12:10");
  expect(toInput("2026-11-23T12:10:05.000Z")).toBe("2026-11-23T12:10:05");
  expect(fromInput("2026-11-23T12:10:00")).toBe("2026-11-23T12:10:00.000Z");
  expect(fromInput("2026-11-23T12:10")).toBe("2026-11-23T12:10:00.000Z");
  expect([fromInput(""), toInput("")]).toEqual(["", ""]);
});

test("anything is told in one line", () => {
  expect([asText("a"), asText(1), asText({ a: 1 }), asText(null)]).toEqual(["a", "1", '{"a":1}', "–"]);
});
