import { cleanup, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import {
  OPS,
  overviewFixture,
  productFixture,
  renderOps,
  reportFixture,
  saleOverviewFixture,
} from "../../../testing/ops-fixture";
import { attemptLines } from "./report-view";
import { SalesView } from "./sales-view";

vi.mock("../chart/plot", () => ({
  Plot: class {
    set() {}
    destroy() {}
  },
}));

const PRODUCTS = "GET /api/v1/products";
const CREATE = "POST /api/v1/products";

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
  service.always(PRODUCTS, accepted([productFixture()]));
  service.always(`GET ${OPS}/overview`, accepted(overviewFixture()));
});
afterEach(cleanup);

const press = (name: string) => user.click(screen.getByRole("button", { name }));
const rows = () =>
  [...screen.getByTestId("sales-table").querySelectorAll("tbody tr")].map((row) => row.textContent);

test("a sale is told from what the products and the overview know", async () => {
  service.always(
    PRODUCTS,
    accepted([
      productFixture(),
      productFixture({ sku: "LOST", saleId: "S2", state: null, currentStock: null, totalPurchases: null }),
      productFixture({ sku: "OVER", saleId: "S3", state: "ENDED", challenge: "PROOF_OF_WORK" }),
    ]),
  );
  const over = saleOverviewFixture({ sku: "OVER", saleId: "S3", state: "ENDED", endReason: "SOLD_OUT" });
  service.always(`GET ${OPS}/overview`, accepted(overviewFixture({ sales: [saleOverviewFixture(), over] })));
  renderOps(<SalesView />, "/ops?view=sales");
  await waitFor(() => expect(rows()[0]).toContain("2.5 /s"));
  expect(rows()[0]).toContain("DEMODemo phoneLive now5842100");
  expect(rows()[1]).toContain("LOSTDemo phoneunknownunknownunknown100unknown");
  expect(rows()[2]).toContain("Sold out");
  expect(rows().map((row) => row?.includes("Proof of work"))).toEqual([false, false, true]);
  expect(rows().join()).not.toContain("None");
  expect(screen.queryByRole("button", { name: "Pause OVER" })).toBeNull();
});

test("a sale is paused and goes on", async () => {
  service.next("POST /api/v1/products/DEMO/pause", accepted(productFixture({ paused: true })));
  renderOps(<SalesView />, "/ops?view=sales");
  await screen.findByTestId("sales-table");
  service.always(PRODUCTS, accepted([productFixture({ paused: true })]));
  await press("Pause DEMO");
  await screen.findByText("DEMO is paused: nobody can buy.");
  const [order] = service.requests("POST /api/v1/products/DEMO/pause");
  expect(order?.headers.get("X-Operator")).toBe("ann");
  service.next("POST /api/v1/products/DEMO/resume", accepted(productFixture()));
  await user.click(await screen.findByRole("button", { name: "Resume DEMO" }));
  await screen.findByText("DEMO goes on.");
});

test("a sale that ended meanwhile cannot be paused, and that is told", async () => {
  service.next("POST /api/v1/products/DEMO/pause", refused(200, "SALE_NOT_MODIFIABLE"));
  renderOps(<SalesView />, "/ops?view=sales");
  await screen.findByTestId("sales-table");
  await press("Pause DEMO");
  await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("SALE_NOT_MODIFIABLE"));
});

test("a new sale is set up in UTC", async () => {
  service.next(CREATE, accepted({ ...productFixture({ sku: "LAMP" }) }, 201));
  renderOps(<SalesView />, "/ops?view=sales&create=1");
  await user.type(screen.getByLabelText("SKU"), "LAMP");
  await user.type(screen.getByLabelText("Name"), "A lamp");
  const start = screen.getByLabelText<HTMLInputElement>("Start (UTC)").value;
  await press("Create");
  await screen.findByText(/^LAMP is set up\./);
  expect(service.requests(CREATE)[0]?.json).toMatchObject({
    sku: "LAMP",
    productName: "A lamp",
    initialStock: 100,
    startTime: new Date(`${start}Z`).toISOString(),
    challenge: "NONE",
  });
  await press("Close");
  expect(location.search).toBe("?view=sales");
});

test("what is wrong with a new sale is told beside its input, the first of which has the focus", async () => {
  const fields = { endTime: "must be after startTime", initialStock: "must be at least 1" };
  service.next(CREATE, refused(400, "VALIDATION_ERROR", { fields }), refused(409, "ALREADY_EXISTS"));
  renderOps(<SalesView />, "/ops?view=sales&create=1");
  await press("Create");
  const stock = screen.getByLabelText("Units for sale");
  await waitFor(() => expect(stock.getAttribute("aria-invalid")).toBe("true"));
  const told = (input: HTMLElement) =>
    document.getElementById(input.getAttribute("aria-describedby") ?? "")?.textContent;
  expect(told(stock)).toBe("must be at least 1");
  expect(told(screen.getByLabelText("End (UTC)"))).toBe("must be after startTime");
  expect(document.activeElement).toBe(stock);
  await press("Create");
  await waitFor(() => expect(told(screen.getByLabelText("SKU"))).toBe("ALREADY_EXISTS"));
});

test.each([
  ["Proof of work", "PROOF_OF_WORK"],
  ["CAPTCHA", "CAPTCHA"],
])("a new sale may have a challenge: %s", async (name, challenge) => {
  service.next(CREATE, accepted(productFixture({ sku: "LAMP" }), 201));
  renderOps(<SalesView />, "/ops?view=sales&create=1");
  const choice = screen.getByLabelText<HTMLSelectElement>("Challenge");
  expect([...choice.options].map(({ text }) => text)).toEqual(["None", "Proof of work", "CAPTCHA"]);
  await user.selectOptions(choice, name);
  await press("Create");
  await screen.findByText(/^LAMP is set up\./);
  expect(service.requests(CREATE)[0]?.json).toMatchObject({ challenge });
  expect(choice.value).toBe("NONE");
});

test("a challenge that nobody can check is told beside the choice", async () => {
  const fields = { challenge: "needs a configured provider" };
  service.next(CREATE, refused(400, "VALIDATION_ERROR", { fields }));
  renderOps(<SalesView />, "/ops?view=sales&create=1");
  await press("Create");
  await screen.findByText("needs a configured provider");
  expect(document.activeElement).toBe(screen.getByLabelText("Challenge"));
  expect(screen.getByLabelText("Challenge").getAttribute("aria-invalid")).toBe("true");
});

test("a fault of no input is told too", async () => {
  service.next(CREATE, refused(400, "VALIDATION_ERROR", { fields: { body: "is no JSON" } }));
  renderOps(<SalesView />, "/ops?view=sales&create=1");
  await press("Create");
  await waitFor(() => expect(screen.getByText(/body is no JSON/)).toBeDefined());
});

test("what is not known of a sale is not made up in its report", async () => {
  const totals = { attempts: 0, accepted: 0, alreadyPurchased: 0, soldOut: 0, notActive: {} };
  service.always(
    `GET ${OPS}/sales/DEMO/report`,
    accepted(reportFixture({ state: null, endReason: null, totals, perSecond: [] })),
  );
  renderOps(<SalesView />, "/ops?view=sales&report=DEMO");
  expect((await screen.findByTestId("report")).textContent).toContain("Stateunknown");
  expect(screen.getByRole("row", { name: "Accepted 0 –" })).toBeDefined();
});

test("the report tells how many tried and what they got", async () => {
  service.always(`GET ${OPS}/sales/DEMO/report`, accepted(reportFixture()));
  renderOps(<SalesView />, "/ops?view=sales&report=DEMO");
  expect((await screen.findByTestId("report")).textContent).toContain("Sold100 of 100");
  expect(screen.getByTestId("report").textContent).toContain("Sold out after8.5 s");
  const funnel = within(screen.getByTestId("funnel"));
  expect(funnel.getByRole("row", { name: "Accepted 100 25.0 %" })).toBeDefined();
  expect(funnel.getByRole("row", { name: "Not active: NOT_STARTED 50 12.5 %" })).toBeDefined();
});

test("seconds in which nobody tried are zeros, not a line over them", () => {
  const { times, series } = attemptLines(reportFixture().perSecond);
  const noon = Date.parse("2026-11-23T12:00:00Z") / 1_000;
  expect(times).toEqual([noon, noon + 1, noon + 8, noon + 9]);
  expect(series[0]?.values).toEqual([300, 0, 0, 100]);
});

test("no such sale is told", async () => {
  renderOps(<SalesView />, "/ops?view=sales&report=NONE");
  await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("NOT_FOUND"));
});
