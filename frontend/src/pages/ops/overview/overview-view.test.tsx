import { act, cleanup, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { accepted, FakeService } from "../../../testing/fake-service";
import {
  consumerFixture,
  consumersAnswer,
  OPS,
  overviewFixture,
  reconciliationFixture,
  renderOps,
  saleOverviewFixture,
} from "../../../testing/ops-fixture";
import { setVisibility } from "../../../testing/visibility";
import { decisionLines, latencyLines, OverviewView } from "./overview-view";
import { worstOf } from "./tiles";

vi.mock("../chart/plot", () => ({
  Plot: class {
    set() {}
    destroy() {}
  },
}));

const OVERVIEW = `GET ${OPS}/overview`;
const CONSUMERS = `GET ${OPS}/consumers`;

let service: FakeService;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-23T12:00:02.000Z") });
  service = new FakeService();
  service.always(OVERVIEW, accepted(overviewFixture()));
  service.always(CONSUMERS, accepted(consumersAnswer(consumerFixture())));
});
afterEach(() => {
  cleanup();
  setVisibility("visible");
  vi.useRealTimers();
});

const pass = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds));
const tile = (title: string) => {
  const found = within(screen.getByTestId("tiles"))
    .getAllByRole("listitem")
    .find((item) => item.querySelector("h2")?.textContent === title);
  return found?.textContent?.slice(title.length);
};

async function open() {
  const workplace = renderOps(<OverviewView />);
  await pass(0);
  return workplace;
}

test("the tiles tell what somebody must look at", async () => {
  service.always(
    CONSUMERS,
    accepted(
      consumersAnswer(consumerFixture(), consumerFixture({ name: "audit", verdict: "STOP", why: "gone" })),
    ),
  );
  await open();
  expect(tile("Live sales")).toBe("1of 1 sale; 2.5 /s sold");
  expect(tile("Open dead letters")).toContain("2");
  expect(tile("Differences")).toBe("0in DEMO, compared 2026-11-23 12:00:00");
  expect(tile("Worst consumer")).toBe("STOPaudit: gone");
  expect(screen.getByRole("link", { name: "Open dead letters" }).getAttribute("href")).toBe(
    "/ops?view=dead-letters",
  );
});

test("what is not known is told as unknown", async () => {
  const unknown = { deadLetters: { open: null }, outbox: { entries: null }, lastReconciliation: null };
  service.always(
    OVERVIEW,
    accepted(overviewFixture({ ...unknown, sales: [saleOverviewFixture({ outbox: null })] })),
  );
  service.always(CONSUMERS, "breaks");
  await open();
  for (const title of ["Not in the log yet", "Open dead letters", "Differences", "Worst consumer"]) {
    expect(tile(title), title).toMatch(/^unknown/);
  }
  expect(within(screen.getByTestId("sales-now")).getByText("unknown")).toBeDefined();
  expect(screen.getByText(/^Nothing is known of it yet/)).toBeDefined();
});

test("the charts are told in words", async () => {
  await open();
  expect(
    screen.getByRole("img", { name: /^Decisions a second: Accepted 0 \/s at the end, at most 3 \/s/ }),
  ).toBeDefined();
  expect(
    screen.getByRole("img", { name: /^Time to the log: p50 unknown at the end, at most 4 ms/ }),
  ).toBeDefined();
  expect(screen.getByRole("img", { name: /^Lag of the consumers: sink 1.5 s at the end/ })).toBeDefined();
});

test("lines are gaps where nothing is known", () => {
  const { seconds } = overviewFixture().decisions;
  expect(latencyLines(seconds).series[0]).toEqual({ label: "p50", values: [4, null] });
  expect(decisionLines(seconds).times).toEqual([1_795_435_200, 1_795_435_201]);
});

test("a failing service leaves what was heard, and tells how old it is", async () => {
  await open();
  service.always(OVERVIEW, "breaks");
  await pass(2_000);
  await pass(5_000);
  expect(tile("Live sales")).toContain("1of 1 sale");
  const [notice] = screen.getAllByTestId("stale");
  expect(notice?.textContent).toMatch(/What you see may be old.*Last data \d+ seconds ago/);
  service.always(OVERVIEW, accepted(overviewFixture()));
  await pass(2_000);
  expect(notice?.textContent).toBe("");
});

test("it is asked every 2 s, one question at a time, and not while the tab is hidden", async () => {
  await open();
  await pass(2_000);
  expect(service.requests(OVERVIEW)).toHaveLength(2);
  setVisibility("hidden");
  await pass(60_000);
  expect(service.requests(OVERVIEW)).toHaveLength(2);
  expect(service.requests(CONSUMERS)).toHaveLength(2);
  service.always(OVERVIEW, "hangs");
  setVisibility("visible");
  await pass(9_000);
  expect(service.requests(OVERVIEW)).toHaveLength(3);
});

test("an installation without a sale leads to the first one", async () => {
  const quiet = { accepted: 0, alreadyPurchased: 0, soldOut: 0, notActive: 0, p50Ms: null, p99Ms: null };
  const seconds = [{ at: "2026-11-23T12:00:00.000Z", ...quiet }];
  service.always(OVERVIEW, accepted(overviewFixture({ sales: [], decisions: { seconds } })));
  await open();
  expect(screen.getByRole("link", { name: "Create one" }).getAttribute("href")).toBe(
    "/ops?view=sales&create=1",
  );
  expect(screen.getAllByText("Nobody has tried to buy lately.")).toHaveLength(2);
});

test("what passes through the outbox is fine, what stays there is not", async () => {
  const overview = (soldPerSecond: number) =>
    accepted(
      overviewFixture({ outbox: { entries: 3 }, sales: [saleOverviewFixture({ outbox: 3, soldPerSecond })] }),
    );
  service.always(OVERVIEW, overview(40));
  await open();
  const isBad = () => screen.getByRole("link", { name: "Not in the log yet" }).closest("[data-bad]") !== null;
  expect(isBad()).toBe(false);
  service.always(OVERVIEW, overview(0));
  await pass(2_000);
  expect(isBad()).toBe(true);
});

test("differences that were repaired are not left", async () => {
  const lastReconciliation = reconciliationFixture({ found: 3, repaired: 2 });
  service.always(OVERVIEW, accepted(overviewFixture({ lastReconciliation })));
  await open();
  expect(tile("Differences")).toBe("1in DEMO, compared 2026-11-23 12:00:00; 2 repaired");
});

test("brokers that cannot be asked are told, and quiet is not taken for peace", async () => {
  service.always(OVERVIEW, accepted(overviewFixture({ decisions: { seconds: [] } })));
  const problem = "the brokers could not be asked";
  service.always(CONSUMERS, accepted({ ...consumersAnswer(consumerFixture()), problem }));
  await open();
  expect(screen.getByText(new RegExp(problem))).toBeDefined();
  expect(screen.getAllByText(/the log may be out of reach/)).toHaveLength(2);
});

test("unknown is worse than fine, and better than a stop", () => {
  const of = (verdict: "OK" | "UNKNOWN" | "STOP") => consumerFixture({ name: verdict, verdict });
  expect(worstOf([of("OK"), of("UNKNOWN")])?.name).toBe("UNKNOWN");
  expect(worstOf([of("STOP"), of("UNKNOWN")])?.name).toBe("STOP");
  expect(worstOf([])).toBeUndefined();
});
