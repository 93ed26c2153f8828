import { cleanup, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accepted, FakeService } from "../../../testing/fake-service";
import { NOON, OPS, renderOps } from "../../../testing/ops-fixture";
import { ActsView } from "./acts-view";

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
});
afterEach(cleanup);

const act = (action: string, reason: string | null = null) => ({
  at: NOON,
  by: "ann",
  action,
  target: "sink",
  reason,
  detail: { partitions: [] },
});

test("who did what is listed, and can be narrowed down", async () => {
  service.always(`GET ${OPS}/acts`, accepted({ acts: [act("PAUSE"), act("DISCARD", "a test")] }));
  renderOps(<ActsView />, "/ops?view=acts");
  await screen.findByTestId("acts");
  expect(screen.getAllByRole("rowheader")).toHaveLength(2);
  await user.selectOptions(screen.getByLabelText("Action"), "DISCARD");
  expect(location.search).toBe("?view=acts&action=DISCARD");
  expect(screen.getAllByRole("rowheader")).toHaveLength(1);
  expect(screen.getByText("a test")).toBeDefined();
  await user.click(screen.getByRole("button", { name: /^Details of DISCARD/ }));
  expect(screen.getByLabelText("Detail").textContent).toContain('"partitions"');
});

test("nobody did anything yet", async () => {
  service.always(`GET ${OPS}/acts`, accepted({ acts: [] }));
  renderOps(<ActsView />, "/ops?view=acts");
  await screen.findByText("Nobody has done anything yet.");
});
