import type { Sale } from "../api/types";

/** A sale for tests: an hour long, open, with 42 of 100 left. */
export function saleFixture(different: Partial<Sale> = {}): Sale {
  return {
    sku: "DEMO",
    state: "ACTIVE",
    stock: 42,
    initialStock: 100,
    productName: "Demo phone",
    startTime: "2026-11-23T12:00:00.000Z",
    endTime: "2026-11-23T13:00:00.000Z",
    serverTime: "2026-11-23T12:10:00.000Z",
    ...different,
  };
}
