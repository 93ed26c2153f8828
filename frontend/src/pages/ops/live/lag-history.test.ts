import { expect, test } from "vitest";
import { consumerFixture } from "../../../testing/ops-fixture";
import { LagHistory } from "./lag-history";

const at = (second: number) => new Date(second * 1_000).toISOString();

test("what is not known is a gap, never a zero", () => {
  const history = new LagHistory();
  history.add({ at: at(10), consumers: [consumerFixture({ lagSeconds: 2 })] });
  history.add({ at: at(12), consumers: [consumerFixture({ lagSeconds: null })] });
  history.add({
    at: at(14),
    consumers: [consumerFixture({ lagSeconds: 0 }), consumerFixture({ name: "audit", lagSeconds: 7 })],
  });
  expect(history.series()).toEqual({
    times: [10, 12, 14],
    series: [
      { label: "audit", values: [null, null, 7] },
      { label: "sink", values: [2, null, 0] },
    ],
  });
});

test("no line leads over a time in which nobody looked", () => {
  const history = new LagHistory();
  history.add({ at: at(10), consumers: [consumerFixture({ lagSeconds: 2 })] });
  history.add({ at: null, consumers: [] });
  history.add({ at: at(60), consumers: [consumerFixture({ lagSeconds: 3 })] });
  expect(history.series()).toEqual({
    times: [10, 11, 60],
    series: [{ label: "sink", values: [2, null, 3] }],
  });
});

test("an answer that was overtaken is left out, and old ones go", () => {
  const history = new LagHistory();
  for (let second = 1; second <= 700; second += 1) history.add({ at: at(second), consumers: [] });
  history.add({ at: at(700), consumers: [] });
  history.add({ at: at(5), consumers: [] });
  const { times } = history.series();
  expect(times).toHaveLength(600);
  expect([times[0], times.at(-1)]).toEqual([101, 700]);
});
