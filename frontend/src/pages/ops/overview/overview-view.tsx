import { useCallback, useMemo } from "react";
import { readOverview } from "../../../api/ops-overview";
import type { Consumers, DecisionSecond, Overview } from "../../../api/ops-types";
import { Chart, type ChartData } from "../chart/chart";
import { milliseconds, rate, span } from "../format";
import { useConsumers } from "../live/use-consumers";
import { type Polled, usePoll } from "../live/use-poll";
import { Loaded, StaleNotice } from "../parts/loaded";
import { ViewHead } from "../parts/view-head";
import { useWorkplace } from "../workplace";
import { SalesNow } from "./sales-now";
import { Tiles } from "./tiles";

const EVERY_MS = 2_000;

/** How everything is right now, on one screen. */
export function OverviewView() {
  const { ops } = useWorkplace();
  const ask = useCallback((signal: AbortSignal) => readOverview(ops, signal), [ops]);
  const overview = usePoll(ask, EVERY_MS);
  const consumers = useConsumers();
  return (
    <>
      <ViewHead title="Overview" />
      <Loaded polled={overview} what="the installation">
        {(data) => <Content overview={data} consumers={consumers} />}
      </Loaded>
    </>
  );
}

function Content({ overview, consumers }: { overview: Overview; consumers: Polled<Consumers> }) {
  const { lag } = useWorkplace();
  const { seconds } = overview.decisions;
  const decisions = useMemo(() => decisionLines(seconds), [seconds]);
  const latency = useMemo(() => latencyLines(seconds), [seconds]);
  return (
    <>
      <Tiles overview={overview} consumers={consumers.data} />
      <StaleNotice state={consumers} />
      <div className="ops-charts">
        <Chart title="Decisions a second" data={decisions} format={rate} empty={NO_DECISIONS} />
        <Chart title="Time to the log" data={latency} format={milliseconds} empty={NO_DECISIONS} />
        <Chart
          title="Lag of the consumers"
          data={lag.series()}
          format={span}
          empty={
            consumers.problem === undefined ? "Collected from now on…" : "Nothing is known of the consumers."
          }
        />
      </div>
      <SalesNow sales={overview.sales} />
    </>
  );
}

const NO_DECISIONS = "Nobody has tried to buy lately.";

export function decisionLines(seconds: DecisionSecond[]): ChartData {
  return {
    times: seconds.map(timeOf),
    series: [
      { label: "Accepted", values: seconds.map(({ accepted }) => accepted) },
      { label: "Already purchased", values: seconds.map(({ alreadyPurchased }) => alreadyPurchased) },
      { label: "Sold out", values: seconds.map(({ soldOut }) => soldOut) },
      { label: "Not active", values: seconds.map(({ notActive }) => notActive) },
    ],
  };
}

export function latencyLines(seconds: DecisionSecond[]): ChartData {
  return {
    times: seconds.map(timeOf),
    series: [
      { label: "p50", values: seconds.map(({ p50Ms }) => p50Ms) },
      { label: "p99", values: seconds.map(({ p99Ms }) => p99Ms) },
    ],
  };
}

function timeOf({ at }: DecisionSecond): number {
  return Date.parse(at) / 1_000;
}
