import { cleanup, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { accepted, FakeService, refused } from "../../../testing/fake-service";
import {
  consumerFixture,
  consumersAnswer,
  OPS,
  orderFixture,
  partitionFixture,
  renderOps,
  resetPlanFixture,
} from "../../../testing/ops-fixture";
import { ConsumersView } from "./consumers-view";

const LIST = `GET ${OPS}/consumers`;
const PAUSE = `POST ${OPS}/consumers/sink/pause`;
const RESUME = `POST ${OPS}/consumers/sink/resume`;
const RESET = `POST ${OPS}/consumers/sink/reset`;

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
});
afterEach(cleanup);

async function open(...consumers: ReturnType<typeof consumerFixture>[]): Promise<void> {
  service.always(LIST, accepted(consumersAnswer(...consumers)));
  renderOps(<ConsumersView />, "/ops?view=consumers");
  await screen.findByTestId("consumers");
}

const row = (name: string) => {
  const found = document.querySelector<HTMLElement>(`[data-row="${name}"]`);
  if (found === null) throw new Error(`no row ${name}`);
  return within(found);
};
const press = (name: string) => user.click(screen.getByRole("button", { name }));

test("each consumer has its verdict with the why, its lag and its throughput", async () => {
  await open(consumerFixture({ verdict: "STALL", why: "its offset does not move", lagRecords: 12_345 }));
  const cells = row("sink")
    .getAllByRole("cell")
    .map((cell) => cell.textContent);
  expect(cells.slice(1, 7)).toEqual([
    "STALLits offset does not move",
    "12,345",
    "1.5 s",
    "20 /s",
    "stable, 1 member",
    "no",
  ]);
});

test("what is not known is told as unknown, never as zero", async () => {
  const unknown = { lagRecords: null, lagSeconds: null, perSecond: null };
  await open(consumerFixture({ ...unknown, verdict: "UNKNOWN", partitions: [partitionFixture(unknown)] }));
  const cells = row("sink")
    .getAllByRole("cell")
    .map((cell) => cell.textContent);
  expect(cells.slice(2, 5)).toEqual(["unknown", "unknown", "unknown"]);
  await press("Details of sink");
  expect(screen.getByLabelText("Partitions of sink").textContent?.match(/unknown/g)).toHaveLength(3);
});

test("the worst is found by sorting, and the address tells how", async () => {
  await open(
    consumerFixture({ name: "a" }),
    consumerFixture({ name: "b", verdict: "STOP" }),
    consumerFixture({ name: "c", verdict: "WARN" }),
  );
  await user.click(screen.getByRole("button", { name: /^Verdict/ }));
  await user.click(screen.getByRole("button", { name: /^Verdict/ }));
  expect(location.search).toBe("?view=consumers&sort=-verdict");
  expect(screen.getAllByRole("rowheader").map((cell) => cell.textContent)).toEqual(["b", "c", "a"]);
});

test("a row opens to partitions, members and the last order", async () => {
  const order = orderFixture({ action: "RUN_TO", partitions: [0], untilOffset: 120 });
  await open(consumerFixture({ order }));
  await press("Details of sink");
  expect(
    screen.getByText(/The order that stands: RUN_TO partition 0 until offset 120, by bob/),
  ).toBeDefined();
  const partitions = within(screen.getByRole("table", { name: "Partitions of sink" }));
  expect(partitions.getByRole("columnheader", { name: "In Postgres" })).toBeDefined();
  expect(
    within(screen.getByRole("table", { name: "Members of sink" })).getByText("/127.0.0.1"),
  ).toBeDefined();
});

test("that the service has not looked yet, or cannot, is told", async () => {
  service.next(LIST, accepted({ ...consumersAnswer(), at: null }));
  const problem = "the brokers could not be asked";
  service.always(LIST, accepted({ ...consumersAnswer(consumerFixture()), problem }));
  renderOps(<ConsumersView />, "/ops?view=consumers");
  await screen.findByText(/has not looked at them yet/);
  await screen.findByText(
    `No newer look at the consumers: ${problem}. The service keeps trying.`,
    undefined,
    {
      timeout: 4_000,
    },
  );
  expect(screen.getByText(/^Last look/).textContent).toBe("Last look: 2026-11-23 12:00:00");
  expect(screen.getByTestId("consumers")).toBeDefined();
});

describe("an order", () => {
  test("pauses all of a consumer, says so, and asks anew", async () => {
    await open(consumerFixture());
    service.next(PAUSE, accepted({ consumer: "sink", order: orderFixture() }));
    const before = service.requests(LIST).length;
    await press("Pause sink");
    await screen.findByText("sink: told to pause.");
    expect(service.requests(PAUSE)[0]?.json).toEqual({});
    expect(service.requests(LIST).length).toBe(before + 1);
  });

  test("resumes one partition", async () => {
    await open(
      consumerFixture({ paused: "SOME", partitions: [partitionFixture({ partition: 2, paused: true })] }),
    );
    service.next(RESUME, accepted({ consumer: "sink", order: orderFixture() }));
    await press("Details of sink");
    await press("Resume partition 2 of sink");
    await screen.findByText("partition 2 of sink: told to go on.");
    expect(service.requests(RESUME)[0]?.json).toEqual({ partitions: [2] });
  });

  test("that is refused is an alert", async () => {
    await open(consumerFixture());
    service.next(PAUSE, refused(503, "SERVICE_UNAVAILABLE"));
    await press("Pause sink");
    await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("SERVICE_UNAVAILABLE"));
  });

  test("without an answer may have been done, and that is told", async () => {
    await open(consumerFixture());
    service.next(PAUSE, "breaks");
    await press("Pause sink");
    await waitFor(() =>
      expect(screen.getByRole("alert").textContent).toContain("it may have been done or not"),
    );
  });

  test("is not offered for a consumer that is none of ours", async () => {
    await open(consumerFixture({ ours: false }));
    expect(screen.queryByRole("button", { name: "Pause sink" })).toBeNull();
    expect(screen.getByRole("button", { name: "Reset sink" })).toBeDefined();
  });

  test("offers what would change something", async () => {
    await open(consumerFixture({ paused: "ALL" }));
    const pause = screen.getByRole("button", { name: "Pause sink" });
    expect(pause.getAttribute("aria-disabled")).toBe("true");
    expect(screen.getByRole("button", { name: "Resume sink" }).getAttribute("aria-disabled")).toBe("false");
    await user.click(pause);
    expect(service.requests(PAUSE)).toEqual([]);
    expect(document.activeElement).toBe(pause);
  });
});

describe("a reset", () => {
  const confirm = () => screen.queryByRole("button", { name: /^Reset \d+ partition/ });

  test("shows its plan first, and only then the button that does it", async () => {
    await open(consumerFixture());
    service.next(RESET, accepted(resetPlanFixture()));
    await press("Reset sink");
    expect(confirm()).toBeNull();
    await user.selectOptions(screen.getByLabelText("Go to"), "offset");
    await user.type(screen.getByLabelText("Offset"), "7");
    await user.type(screen.getByLabelText("Partitions"), "0, 3");
    await press("Show the plan");
    const plan = await screen.findByTestId("plan");
    expect(service.requests(RESET)[0]?.json).toEqual({
      to: "offset",
      offset: 7,
      partitions: [0, 3],
      dryRun: true,
    });
    expect(plan.textContent).toContain("Rows are written again.");
    expect(plan.textContent).toContain("Would read 95 records again and leave out 0.");
    expect(plan.textContent).toContain("decisions 0950950");

    service.next(RESET, accepted(resetPlanFixture({ dryRun: false, warnings: [] })));
    await press("Reset 1 partition");
    await screen.findByText("Done.");
    expect(service.requests(RESET)[1]?.json).toMatchObject({ to: "offset", offset: 7, dryRun: false });
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Close" }));
  });

  test("to another place needs another plan", async () => {
    await open(consumerFixture());
    service.next(RESET, accepted(resetPlanFixture()));
    await press("Reset sink");
    await press("Show the plan");
    await waitFor(() => expect(confirm()).not.toBeNull());
    await user.selectOptions(screen.getByLabelText("Go to"), "latest");
    expect(confirm()).toBeNull();
    expect(screen.queryByTestId("plan")).toBeNull();
  });

  test("of a running consumer is warned of, and its refusal is told clearly", async () => {
    await open(consumerFixture());
    const warnings = ["the group has 2 members; stop them"];
    service.next(
      RESET,
      accepted(resetPlanFixture({ members: 2, warnings })),
      refused(409, "CONSUMER_RUNNING"),
    );
    await press("Reset sink");
    await press("Show the plan");
    expect((await screen.findByLabelText("Before you do it")).textContent).toBe(warnings[0]);
    await press("Reset 1 partition");
    const dialog = within(screen.getByRole("dialog"));
    await waitFor(() =>
      expect(dialog.getByRole("alert").textContent).toContain("Nothing was changed: the consumer is running"),
    );
  });

  test("from nowhere says that it was never read", async () => {
    await open(consumerFixture());
    const partitions = [{ topic: "decisions", partition: 0, from: null, to: 0, replays: 0, skips: 0 }];
    service.next(RESET, accepted(resetPlanFixture({ partitions })));
    await press("Reset sink");
    await press("Show the plan");
    expect((await screen.findByTestId("plan")).textContent).toContain("decisions 0never read0");
  });

  test("that is under way cannot be changed, and is not stopped by closing the window", async () => {
    await open(consumerFixture());
    service.next(RESET, accepted(resetPlanFixture()), "hangs");
    await press("Reset sink");
    await press("Show the plan");
    await screen.findByTestId("plan");
    await press("Reset 1 partition");
    await screen.findByText("Doing it. Closing this window does not stop it.");
    expect(screen.getByLabelText("Go to").closest("fieldset")?.disabled).toBe(true);
    expect(screen.queryByRole("button", { name: "Cancel" })).toBeNull();
    await press("Close");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  test("that would move nothing has no such button", async () => {
    await open(consumerFixture());
    service.next(RESET, accepted(resetPlanFixture({ partitions: [], replays: 0, warnings: [] })));
    await press("Reset sink");
    await press("Show the plan");
    await screen.findByText("No partition would move.");
    expect(confirm()).toBeNull();
  });

  test("whose plan fails says why", async () => {
    await open(consumerFixture());
    service.next(RESET, refused(400, "VALIDATION_ERROR", { fields: { group: "is unknown" } }));
    await press("Reset sink");
    await press("Show the plan");
    await waitFor(() => expect(screen.getByText(/group is unknown/)).toBeDefined());
  });
});
