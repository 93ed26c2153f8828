import { cleanup, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accepted, FakeService } from "../../../testing/fake-service";
import { OPS, reconciliationFixture, renderOps } from "../../../testing/ops-fixture";
import { ReconciliationsView } from "./reconciliations-view";

const LIST = `GET ${OPS}/reconciliations`;
const COMPARE = `POST ${OPS}/reconciliations`;

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
  service.always(LIST, accepted({ reconciliations: [] }));
});
afterEach(cleanup);

const press = (name: string) => user.click(screen.getByRole("button", { name }));
const differing = () =>
  reconciliationFixture({
    found: 2,
    discrepancies: [
      { class: "MISSING_IN_POSTGRES", subject: "unit 7", detail: "no row", repaired: false },
      { class: "CONFLICT", subject: "unit 8", detail: "two buyers", repaired: false },
    ],
  });

test("past ones are listed with what they found", async () => {
  service.always(LIST, accepted({ reconciliations: [differing()] }));
  renderOps(<ReconciliationsView />, "/ops?view=reconciliations&sku=DEMO");
  await screen.findByTestId("reconciliations");
  expect(service.requests(LIST)[0]?.path).toBe(`${OPS}/reconciliations?sku=DEMO&limit=100`);
  await press("Details of R1 of DEMO");
  const details = screen.getByRole("table", { name: "Differences of DEMO" });
  expect(details.textContent).toContain("MISSING_IN_POSTGRESunit 7no rowno");
});

test("none yet is said, and the SKU is kept in the address", async () => {
  renderOps(<ReconciliationsView />, "/ops?view=reconciliations");
  await screen.findByText("Nothing was compared yet.");
  await user.type(screen.getByLabelText("SKU"), "LAMP{Enter}");
  expect(location.search).toBe("?view=reconciliations&sku=LAMP");
  await waitFor(() => expect(service.requests(LIST).at(-1)?.path).toContain("sku=LAMP"));
});

test("a comparison changes nothing, and a repair comes only after it", async () => {
  service.next(
    COMPARE,
    accepted({ reconciliations: [differing()] }),
    accepted({ reconciliations: [{ ...differing(), mode: "REPAIR", repaired: 1 }] }),
  );
  renderOps(<ReconciliationsView />, "/ops?view=reconciliations");
  await press("Compare now…");
  await press("Compare, change nothing");
  await screen.findByText("58 units compared; 2 differ.");
  expect(service.requests(COMPARE)[0]?.json).toEqual({ mode: "DRY_RUN" });
  expect(screen.getByText(/closes the fence/)).toBeDefined();
  await press("Repair up to 2 differences");
  await screen.findByText("1 difference repaired, 1 left.");
  expect(service.requests(COMPARE)[1]?.json).toEqual({ mode: "REPAIR" });
});

test("without a sale there is nothing to compare", async () => {
  service.next(COMPARE, accepted({ reconciliations: [] }));
  renderOps(<ReconciliationsView />, "/ops?view=reconciliations");
  await press("Compare now…");
  await press("Compare, change nothing");
  await screen.findByText("No sale was compared: there is none.");
});

test("where nothing differs there is nothing to repair", async () => {
  service.next(COMPARE, accepted({ reconciliations: [reconciliationFixture()] }));
  renderOps(<ReconciliationsView />, "/ops?view=reconciliations&sku=DEMO");
  await press("Compare now…");
  await press("Compare, change nothing");
  await screen.findByText("58 units compared; nothing differs.");
  expect(service.requests(COMPARE)[0]?.json).toEqual({ sku: "DEMO", mode: "DRY_RUN" });
  expect(screen.queryByRole("button", { name: /^Repair/ })).toBeNull();
});
