import { cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { span } from "../format";
import { Chart, type ChartData, inWords } from "./chart";

const plots = vi.hoisted(() => ({
  made: [] as { labels: string[] }[],
  set: vi.fn(),
  destroyed: 0,
  fails: false,
}));
vi.mock("./plot", () => ({
  Plot: class {
    set = plots.set;
    constructor(_host: HTMLElement, _data: ChartData, options: { labels: string[] }) {
      if (plots.fails) throw new Error("no canvas");
      plots.made.push(options);
    }
    destroy() {
      plots.destroyed += 1;
    }
  },
}));

beforeEach(() => Object.assign(plots, { made: [], destroyed: 0, fails: false }));
afterEach(cleanup);

const data = (...values: (number | null)[]): ChartData => ({
  times: values.map((_, place) => 1_000 + place),
  series: [{ label: "sink", values }],
});
const draw = (shown: ChartData) => <Chart title="Lag" data={shown} format={span} empty="Nothing yet." />;

test("it is told in words, and unknown is not zero", () => {
  expect(inWords("Lag", data(2, 8, 3), span)).toBe("Lag: sink 3 s at the end, at most 8 s");
  expect(inWords("Lag", data(2, null), span)).toBe("Lag: sink unknown at the end, at most 2 s");
  expect(inWords("Lag", data(null), span)).toBe("Lag: sink unknown");
});

test("lines get new data without being made anew, until there are others", async () => {
  const { rerender, unmount } = render(draw(data(1)));
  await waitFor(() => expect(plots.made).toHaveLength(1));
  expect(screen.getByRole("img", { name: "Lag: sink 1 s at the end, at most 1 s" })).toBeDefined();
  rerender(draw(data(1, 2)));
  expect(plots.set).toHaveBeenLastCalledWith(data(1, 2));
  expect(plots.made).toHaveLength(1);
  const others = { ...data(1, 2), series: [...data(1, 2).series, { label: "audit", values: [null, 0] }] };
  rerender(draw(others));
  await waitFor(() => expect(plots.made).toHaveLength(2));
  expect(plots.made[1]?.labels).toEqual(["sink", "audit"]);
  unmount();
  expect(plots.destroyed).toBe(2);
});

test("the same is in a table", async () => {
  render(draw(data(1, null)));
  await userEvent.click(screen.getByText("As a table"));
  const rows = await waitFor(() => within(screen.getByRole("table")).getAllByRole("row"));
  expect(rows.map((row) => row.textContent)).toEqual(["Timesink", "00:16:41unknown", "00:16:401 s"]);
});

test("without a canvas it says so, and the legend has the figures", async () => {
  plots.fails = true;
  render(draw(data(4)));
  await waitFor(() => expect(screen.getByText(/cannot be drawn here/)).toBeDefined());
  expect(screen.getByRole("listitem").textContent).toBe("sink 4 s");
});

test("without a point it says so", () => {
  const { rerender } = render(draw({ times: [], series: [] }));
  expect(screen.getByText("Nothing yet.")).toBeDefined();
  rerender(draw(data(null, null)));
  expect(screen.getByText("Nothing yet.")).toBeDefined();
});
