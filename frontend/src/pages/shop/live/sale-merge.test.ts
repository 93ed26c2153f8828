import { describe, expect, test } from "vitest";
import { saleFixture } from "../../../testing/sale-fixture";
import { mergeChange, mergeStatus } from "./sale-merge";

describe("FE-2: what is known of a sale", () => {
  test("the first status is taken as it is", () => {
    const sale = saleFixture({ stock: 7 });
    expect(mergeStatus(undefined, sale)).toBe(sale);
  });

  test("the stock never rises within one sale", () => {
    const known = saleFixture({ stock: 40 });
    expect(mergeStatus(known, saleFixture({ stock: 42 })).stock).toBe(40);
    expect(mergeStatus(known, saleFixture({ stock: 39 })).stock).toBe(39);
    expect(mergeChange(known, { type: "stock-update", stock: 41 }).stock).toBe(40);
    expect(mergeChange(known, { type: "stock-update", stock: 3 }).stock).toBe(3);
  });

  test.each([{ startTime: "2026-11-24T12:00:00.000Z" }, { initialStock: 50 }])(
    "another sale of the SKU is taken as it is: %o",
    (different) => {
      const next = saleFixture({ stock: 50, state: "UPCOMING", ...different });
      expect(mergeStatus(saleFixture({ stock: 0, state: "ENDED" }), next)).toBe(next);
    },
  );

  test("an older status changes nothing", () => {
    const known = saleFixture({ state: "ENDED", endReason: "SOLD_OUT", stock: 0 });
    expect(mergeStatus(known, saleFixture({ state: "ACTIVE", stock: 0 }))).toBe(known);
    expect(mergeChange(known, { type: "state-change", state: "ACTIVE", reason: undefined })).toBe(known);
  });

  test("a pause and its end are taken over", () => {
    const paused = mergeStatus(saleFixture(), saleFixture({ paused: true }));
    expect(paused.paused).toBe(true);
    expect(mergeStatus(paused, saleFixture()).paused).toBeUndefined();
  });

  test("the end brings its reason, and sold out leaves nothing", () => {
    const known = saleFixture({ stock: 2 });
    expect(mergeChange(known, { type: "state-change", state: "ENDED", reason: "SOLD_OUT" })).toMatchObject({
      state: "ENDED",
      endReason: "SOLD_OUT",
      stock: 0,
    });
    expect(
      mergeChange(known, { type: "state-change", state: "ENDED", reason: "TIME_EXPIRED" }),
    ).toMatchObject({
      endReason: "TIME_EXPIRED",
      stock: 2,
    });
  });
});
