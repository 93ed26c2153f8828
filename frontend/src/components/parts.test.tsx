import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, test } from "vitest";
import { saleFixture } from "../testing/sale-fixture";
import { ConnectionNotice } from "./connection-notice";
import { draw, ProductPicture } from "./product-picture";
import { StateBadge } from "./state-badge";
import { StockMeter } from "./stock-meter";

afterEach(cleanup);

describe("FE-1: the badge", () => {
  test.each([
    [{ state: "UPCOMING" }, "Upcoming"],
    [{ state: "UPCOMING", paused: true }, "Paused"],
    [{ state: "ACTIVE" }, "Live now"],
    [{ state: "ACTIVE", paused: true }, "Paused"],
    [{ state: "ENDED", endReason: "SOLD_OUT" }, "Sold out"],
    [{ state: "ENDED", endReason: "TIME_EXPIRED", paused: true }, "Ended"],
    [{ state: "ENDED" }, "Ended"],
  ] as const)("of %o", (different, text) => {
    render(<StateBadge sale={saleFixture(different)} />);
    expect(screen.getByTestId("state").textContent).toBe(text);
  });
});

describe("FE-2: the stock", () => {
  test.each([
    [42, 100, "42 of 100 left", "scaleX(0.42)"],
    [0, 100, "0 of 100 left", "scaleX(0)"],
    [1234, 2000, "1234 of 2000 left", "scaleX(0.617)"],
    [10_000, 10_000, "10,000 of 10,000 left", "scaleX(1)"],
  ])("%i of %i", (stock, initialStock, text, scale) => {
    render(<StockMeter stock={stock} initialStock={initialStock} />);
    expect(screen.getByTestId("stock").textContent).toBe(text);
    const bar = screen.getByRole("progressbar", { name: "Units left" });
    expect(bar.getAttribute("aria-valuenow")).toBe(String(stock));
    expect(bar.getAttribute("aria-valuemax")).toBe(String(initialStock));
    expect((bar.firstElementChild as HTMLElement).style.transform).toBe(scale);
  });
});

describe("FE-7: the notice", () => {
  test.each([
    ["connecting", ""],
    ["live", ""],
    ["polling", "Live updates are interrupted. Showing the latest every 2 seconds."],
    ["offline", "Connection lost. Trying again…"],
  ] as const)("of %s", (connection, text) => {
    render(<ConnectionNotice connection={connection} />);
    const notice = screen.getByTestId("connection");
    expect(notice.textContent).toBe(text);
    expect(notice.dataset.connection).toBe(connection);
  });
});

describe("the picture", () => {
  test("is always the same for a SKU, and another for others", () => {
    const skus = ["DEMO", "AURORA", "TENT-2", "A", "B", "C", "D", "E"];
    const drawings = skus.map((sku) => JSON.stringify(draw(sku)));
    expect(drawings).toEqual(skus.map((sku) => JSON.stringify(draw(sku))));
    expect(new Set(drawings).size).toBe(skus.length);
  });

  test("is well formed for any SKU, and needs no inline style", () => {
    for (let number = 0; number < 50; number += 1) {
      const { container } = render(<ProductPicture sku={`SKU-${number}`} />);
      expect(container.innerHTML).not.toMatch(/NaN|undefined|style=/);
    }
  });
});
