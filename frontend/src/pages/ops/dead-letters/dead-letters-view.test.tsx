import { cleanup, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { accepted, FakeService } from "../../../testing/fake-service";
import {
  deadLettersFixture,
  letterFixture,
  NOON,
  OPS,
  redriveFixture,
  renderOps,
} from "../../../testing/ops-fixture";
import { DeadLettersView } from "./dead-letters-view";
import { confirmText } from "./redrive-dialog";

const LIST = `GET ${OPS}/dlq`;
const REDRIVE = `POST ${OPS}/dlq/redrive`;
const DISCARD = `POST ${OPS}/dlq/discard`;

let service: FakeService;
const user = userEvent.setup();
beforeEach(() => {
  service = new FakeService();
});
afterEach(cleanup);

async function open(address = "/ops?view=dead-letters", ...letters: ReturnType<typeof letterFixture>[]) {
  service.always(LIST, accepted(deadLettersFixture(...letters)));
  renderOps(<DeadLettersView />, address);
  await screen.findByTestId("letter-counts");
}
const two = () => [letterFixture(), letterFixture({ id: "0-8" })];
const press = (name: string | RegExp) => user.click(screen.getByRole("button", { name }));
const sent = (endpoint: string) => service.requests(endpoint).map(({ json }) => json);
const confirm = () => screen.queryByRole("button", { name: /^Redrive \d+ letter/ });

test("letters are told by cause and one by one", async () => {
  await open(undefined, ...two());
  expect(screen.getByTestId("letter-counts").textContent).toBe("2 open, 0 redriven, 0 discarded");
  expect(within(screen.getByTestId("groups")).getByText("sink-postgres")).toBeDefined();
  expect(within(screen.getByTestId("letters")).getAllByRole("row")).toHaveLength(3);
});

test("no letter is good news", async () => {
  await open();
  expect(screen.getByText("No letter is open: nobody must do anything here.")).toBeDefined();
  expect(screen.queryByRole("button", { name: "Redrive all…" })).toBeNull();
});

test("the state and the cause are in the address, and in the question", async () => {
  await open("/ops?view=dead-letters&state=all&class=bad_magic", letterFixture({ state: "REDRIVEN" }));
  expect(service.requests(LIST)[0]?.path).toBe(`${OPS}/dlq?state=all&class=bad_magic`);
  expect(screen.queryByTestId("groups")).toBeNull();
  expect(screen.queryByRole("button", { name: "Redrive 0-7" })).toBeNull();
  await press("Show every cause");
  await waitFor(() => expect(service.requests(LIST).at(-1)?.path).toBe(`${OPS}/dlq?state=all`));
  await user.selectOptions(screen.getByLabelText("State"), "open");
  expect(location.search).toBe("?view=dead-letters");
});

describe("a redrive", () => {
  test("shows what each letter would come to before the button that does it", async () => {
    await open(undefined, ...two());
    service.next(REDRIVE, accepted(redriveFixture()));
    await press("Redrive 0-7");
    const plan = await screen.findByTestId("plan");
    expect(sent(REDRIVE)).toEqual([{ ids: ["0-7"], dryRun: true, includeFailing: false }]);
    expect(plan.textContent).toContain(
      "Would be applied1Would be duplicates0Still fail1Not open, or unknown0",
    );
    expect(plan.textContent).toContain("0-8still failsfirst byte is 7");

    const lists = service.requests(LIST).length;
    service.next(REDRIVE, accepted(redriveFixture({ dryRun: false, sent: 1 })));
    await press("Redrive 1 letter");
    await screen.findByText("1 letter sent again.");
    expect(sent(REDRIVE)[1]).toEqual({ ids: ["0-7"], dryRun: false, includeFailing: false });
    expect(service.requests(LIST).length).toBeGreaterThan(lists);
  });

  test("that is not planned yet has no button", async () => {
    await open(undefined, ...two());
    service.next(REDRIVE, "hangs");
    await press("Redrive 0-7");
    await screen.findByText("Looking at what would happen…");
    expect(confirm()).toBeNull();
  });

  test("sends those that still fail only when that is wished", async () => {
    await open(undefined, ...two());
    service.next(REDRIVE, accepted(redriveFixture({ wouldApply: 0, stillFailing: 2 })));
    await press("Redrive all of bad_magic");
    await screen.findByTestId("plan");
    expect(sent(REDRIVE)[0]).toMatchObject({ class: "bad_magic", dryRun: true });
    expect(confirm()).toBeNull();
    await user.click(screen.getByLabelText(/Also send those that still fail/));
    service.next(REDRIVE, accepted(redriveFixture({ dryRun: false, sent: 2 })));
    await press("Redrive 2 letters");
    await screen.findByText("2 letters sent again.");
    expect(sent(REDRIVE)[1]).toEqual({ class: "bad_magic", dryRun: false, includeFailing: true });
  });

  test("takes the marked ones, or all", async () => {
    await open(undefined, ...two(), letterFixture({ id: "0-9", state: "DISCARDED" }));
    service.always(REDRIVE, accepted(redriveFixture()));
    await user.click(screen.getByLabelText("Mark 0-8"));
    expect(screen.getByText("1 marked")).toBeDefined();
    await user.click(screen.getByLabelText("Mark every open letter shown"));
    await press("Redrive the marked letters");
    await screen.findByTestId("plan");
    await press("Cancel");
    await press("Redrive all…");
    await screen.findByTestId("plan");
    expect(sent(REDRIVE)).toMatchObject([{ ids: ["0-7", "0-8"] }, { all: true }]);
  });

  test("whose plan fails can be planned again", async () => {
    await open(undefined, ...two());
    service.next(REDRIVE, "breaks", accepted(redriveFixture()));
    await press("Redrive 0-7");
    await waitFor(() => expect(screen.getByText(/gave no answer/)).toBeDefined());
    await press("Plan again");
    await screen.findByTestId("plan");
  });

  test("of nothing has no button", () => {
    const none = redriveFixture({ wouldApply: 0, stillFailing: 0 });
    expect(confirmText(none, true)).toBeUndefined();
    expect(confirmText({ ...none, wouldBeDuplicate: 2 }, false)).toBe("Redrive 2 letters");
  });
});

test("a state without letters says which", async () => {
  await open("/ops?view=dead-letters&state=redriven&class=bad_magic");
  expect(screen.getByText("No letter was redriven that has the cause bad_magic.")).toBeDefined();
});

test("a letter that does not say where it was says what that means", async () => {
  const record = { headers: {}, value: null, hex: "07", schemaId: null, problem: null };
  service.always(`GET ${OPS}/dlq/0-7`, accepted({ ...letterFixture({ source: null }), ...record }));
  await open("/ops?view=dead-letters&letter=0-7");
  expect((await screen.findByTestId("letter")).textContent).toContain("it cannot be sent again");
});

test("a letter that is not there is told once, and not asked for in vain", async () => {
  await open("/ops?view=dead-letters&letter=0-9");
  const dialog = within(screen.getByRole("dialog"));
  await waitFor(() => expect(dialog.getByRole("alert").textContent).toContain("There is no letter 0-9"));
  expect(dialog.getByRole("alert").textContent).not.toContain("keeps asking");
});

test("letters are discarded with a reason, after a look at which", async () => {
  await open(undefined, ...two());
  const letters = [
    { id: "0-7", verdict: "WOULD_DISCARD", detail: null, sent: false },
    { id: "0-8", verdict: "NOT_OPEN", detail: "REDRIVE by bob", sent: false },
  ];
  service.next(
    DISCARD,
    accepted({ dryRun: true, letters, discarded: 0, more: true }),
    accepted({ dryRun: false, letters, discarded: 1, more: false }),
  );
  await press("Discard all of bad_magic");
  await user.type(screen.getByLabelText("Reason"), " a test ");
  await press("Show the plan");
  const plan = await screen.findByTestId("plan");
  expect(plan.textContent).toContain("1 letter would be discarded.There are more than these 2.");
  expect(plan.textContent).toContain("0-8not open any moreREDRIVE by bob");
  await press("Discard 1 letter");
  await screen.findByText("1 letter discarded.");
  expect(sent(DISCARD)).toEqual([
    { class: "bad_magic", reason: "a test", dryRun: true },
    { class: "bad_magic", reason: "a test", dryRun: false },
  ]);
});

test("a letter is inspected at an address of its own", async () => {
  const act = { action: "DISCARD", by: "bob", at: NOON, reason: "a test" };
  const detail = {
    headers: { "dlq.class": "bad_magic" },
    value: null,
    hex: "07",
    schemaId: null,
    problem: "bad",
  };
  service.always(
    `GET ${OPS}/dlq/0-7`,
    accepted({ ...letterFixture({ state: "DISCARDED", act }), ...detail }),
  );
  await open(undefined, ...two());
  await press("Inspect 0-7");
  expect(location.search).toBe("?view=dead-letters&letter=0-7");
  const letter = await screen.findByTestId("letter");
  expect(letter.textContent).toContain("DISCARD by bob, 2026-11-23 12:00:00: a test");
  expect(letter.textContent).toContain("decisions, partition 0, offset 77");
  expect(within(letter).getByLabelText("Bytes in hexadecimal").textContent).toBe("07");
  await user.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Close" }));
  expect(location.search).toBe("?view=dead-letters");
});
