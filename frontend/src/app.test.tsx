import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test } from "vitest";
import { App } from "./app";
import { FakeService } from "./testing/fake-service";
import { saleFixture } from "./testing/sale-fixture";

beforeEach(() => {
  new FakeService().sales = [saleFixture({ sku: "A-1" })];
});
afterEach(cleanup);

test.each(["", "?", "?sku=", "?sku=%20", "?other=1"])(
  "the address %j is the list of sales",
  async (search) => {
    render(<App path="/" search={search} />);
    await act(() => Promise.resolve());
    expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Sales");
  },
);

test("the address of a SKU is its sale", async () => {
  render(<App path="/" search="?utm=x&sku=A-1" />);
  await act(() => Promise.resolve());
  expect(screen.getByTestId("connection")).toBeDefined();
  expect(screen.getByRole("link", { name: "All sales" }).getAttribute("href")).toBe("/");
});
