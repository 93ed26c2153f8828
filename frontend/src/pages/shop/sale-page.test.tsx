import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Sale } from "../../api/types";
import { FakeService } from "../../testing/fake-service";
import { saleFixture } from "../../testing/sale-fixture";
import { SalePage } from "./sale-page";

let service: FakeService;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:10:00.000Z") });
  service = new FakeService();
});
afterEach(() => {
  cleanup();
  localStorage.clear();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));

async function open(sale: Sale): Promise<void> {
  service.sales = [sale];
  render(<SalePage sku="DEMO" />);
  await pass(0);
  service.stream.event("initial", sale, "1");
  await pass(0);
}

describe("FE-1: the page shows the true state", () => {
  test("while it loads nothing but the form", async () => {
    service.sales = [saleFixture()];
    render(<SalePage sku="DEMO" />);
    expect(screen.queryByRole("heading")).toBeNull();
    expect(screen.getByRole<HTMLButtonElement>("button").disabled).toBe(true);
  });

  test("of an upcoming sale", async () => {
    await open(saleFixture({ state: "UPCOMING", stock: 100, startTime: "2026-11-23T12:11:00.000Z" }));
    expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Demo phone");
    expect(screen.getByTestId("state").textContent).toBe("Upcoming");
    expect(screen.getByRole("timer", { name: /^Starts in 1 minute/ })).toBeDefined();
    expect(screen.queryByTestId("stock")).toBeNull();
    expect(screen.getByText("100")).toBeDefined();
  });

  test("of an active sale, by the server's clock", async () => {
    await open(saleFixture({ serverTime: "2026-11-23T12:30:00.000Z" }));
    expect(screen.getByTestId("state").textContent).toBe("Live now");
    expect(screen.getByRole("timer", { name: "Ends in 30 minutes" })).toBeDefined();
    expect(screen.getByTestId("stock").textContent).toBe("42 of 100 left");
    expect(document.title).toBe("Live now: Demo phone – Flashsale");
  });

  test("of a paused one", async () => {
    await open(saleFixture({ paused: true }));
    expect(screen.getByTestId("state").textContent).toBe("Paused");
    expect(screen.getByRole("button", { name: "Paused" })).toBeDefined();
  });

  test("of one that ended", async () => {
    await open(saleFixture({ state: "ENDED", endReason: "TIME_EXPIRED" }));
    expect(screen.getByTestId("state").textContent).toBe("Ended");
    expect(screen.queryByRole("timer")).toBeNull();
    expect(screen.getByTestId("stock").textContent).toBe("42 of 100 left");
  });

  test("of none", async () => {
    render(<SalePage sku="NOPE" />);
    await pass(0);
    expect(screen.getByRole("heading", { name: "No such sale" })).toBeDefined();
    expect(screen.getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual(["/", "/", "/"]);
  });
});

test("FE-2: stock and state follow the stream", async () => {
  await open(saleFixture());
  service.stream.event("stock-update", { sku: "DEMO", stock: 1 }, "2");
  await pass(0);
  expect(screen.getByTestId("stock").textContent).toBe("1 of 100 left");
  service.stream.event("state-change", { sku: "DEMO", state: "ENDED", reason: "SOLD_OUT" }, "3");
  await pass(0);
  expect(screen.getByTestId("state").textContent).toBe("Sold out");
  expect(screen.getByTestId("stock").textContent).toBe("0 of 100 left");
  expect(screen.getByRole("button", { name: "Sold out" })).toBeDefined();
});

test("FE-7: the notice is there while the page polls, and goes", async () => {
  await open(saleFixture());
  const notice = screen.getByTestId("connection");
  expect(notice.dataset.connection).toBe("live");
  service.always("GET /api/v1/sales/events", "breaks");
  service.stream.break();
  await pass(3_000);
  expect(notice.dataset.connection).toBe("polling");
  expect(notice.textContent).toContain("Showing the latest every 2 seconds.");
  service.always("GET /api/v1/sales/events", undefined);
  await pass(15_000);
  expect(notice.dataset.connection).toBe("live");
  expect(notice.textContent).toBe("");
});

test("a page that is left asks nothing more", async () => {
  await open(saleFixture());
  cleanup();
  const before = service.seen.length;
  await pass(120_000);
  expect(service.seen.length).toBe(before);
});
