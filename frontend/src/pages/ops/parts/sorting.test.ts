import { expect, test } from "vitest";
import { readOrder, sortRows, writeOrder } from "./sorting";

test("an order is told by the address", () => {
  expect(readOrder("lag")).toEqual({ column: "lag", isDescending: false });
  expect(readOrder("-lag")).toEqual({ column: "lag", isDescending: true });
  expect([readOrder(null), readOrder(""), readOrder("-")]).toEqual([undefined, undefined, undefined]);
  expect(writeOrder({ column: "lag", isDescending: true })).toBe("-lag");
});

test("what is not known comes last, whichever way", () => {
  const rows = [{ lag: 2 }, { lag: null }, { lag: 0 }, { lag: 10 }];
  const lags = (isDescending: boolean) =>
    sortRows(rows, ({ lag }) => lag, isDescending).map(({ lag }) => lag);
  expect(lags(false)).toEqual([0, 2, 10, null]);
  expect(lags(true)).toEqual([10, 2, 0, null]);
});

test("numbers within texts count as numbers", () => {
  expect(sortRows(["p-10", "p-2"], (text) => text, false)).toEqual(["p-2", "p-10"]);
});
