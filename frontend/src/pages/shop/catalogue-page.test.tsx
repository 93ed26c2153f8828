import { act, cleanup, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeService } from "../../testing/fake-service";
import { saleFixture } from "../../testing/sale-fixture";
import { CataloguePage } from "./catalogue-page";

let service: FakeService;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:10:00.000Z") });
  service = new FakeService();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

async function open(): Promise<void> {
  render(<CataloguePage />);
  await pass(0);
}

test("each sale is a link with its name, and says how it stands", async () => {
  service.sales = [
    saleFixture(),
    saleFixture({
      sku: "SOON",
      productName: "Turntable",
      state: "UPCOMING",
      startTime: "2026-11-23T12:10:30.000Z",
    }),
    saleFixture({
      sku: "GONE-1",
      productName: "First edition",
      state: "ENDED",
      endReason: "SOLD_OUT",
      stock: 0,
    }),
    saleFixture({ sku: "GONE-2", productName: "Lamp", state: "ENDED", endReason: "TIME_EXPIRED" }),
  ];
  await open();
  const [demo, soon, soldOut, ended] = within(screen.getByTestId("sales")).getAllByRole("listitem");
  const link = screen.getByRole("link", { name: /Live now Demo phone 42 of 100 left/ });
  expect(link.getAttribute("href")).toBe("/?sku=DEMO");
  expect(demo?.textContent).toContain("Live now");
  expect(demo?.textContent).toContain("42 of 100 left");
  expect(demo?.textContent).toContain("Ends in 00:50:00");
  expect(soon?.textContent).toContain("Starts in 00:00:30");
  expect(soldOut?.textContent).toContain("Sold out");
  expect(ended?.textContent).toContain("Ended");
  expect(screen.getByRole("link", { name: /Ended Lamp/ })).toBeDefined();
});

test("no sale yet is said, and how to make one", async () => {
  await open();
  expect(screen.getByRole("heading", { name: "No sale yet" })).toBeDefined();
  expect(screen.getByText(/flashsale sale create/)).toBeDefined();
});

test("no answer is said, and the list comes when there is one", async () => {
  service.always("GET /api/v1/catalogue", "breaks");
  await open();
  expect(screen.getByRole("heading", { name: "The shop does not answer" })).toBeDefined();
  service.always("GET /api/v1/catalogue", undefined);
  service.sales = [saleFixture()];
  await pass(5_000);
  expect(screen.getByRole("link", { name: /Demo phone/ })).toBeDefined();
  service.always("GET /api/v1/catalogue", "breaks");
  await pass(5_000);
  expect(screen.getByRole("link", { name: /Demo phone/ })).toBeDefined();
  expect(screen.getByRole("status").textContent).toContain("Showing what was last heard");
});

test("while it loads it says so", () => {
  service.always("GET /api/v1/catalogue", "hangs");
  render(<CataloguePage />);
  expect(screen.getByRole("list", { name: "Loading the sales" })).toBeDefined();
});
