import { useCallback, useMemo } from "react";
import { readOverview } from "../../../api/ops-overview";
import type { Consumers, DecisionSecond, Overview } from "../../../api/ops-types";
import { Chart, type ChartData } from "../chart/chart";
import { LookNotice } from "../consumers/look-notice";
import { milliseconds, rate, span } from "../format";
import { useConsumers } from "../live/use-consumers";
import { type Polled, usePoll } from "../live/use-poll";
import { Loaded } from "../parts/loaded";
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
      <Loaded polled={overview} beside={[consumers]} what="the installation">
        {(data) => <Content overview={data} consumers={consumers} />}
      </Loaded>
    </>
  );
}

function Content({ overview, consumers }: { overview: Overview; consumers: Polled<Consumers> }) {
  const { lag } = useWorkplace();
  const { seconds } = overview.decisions;
  // Decisions are seen in the log too.
  const isBlind = (consumers.data?.problem ?? null) !== null;
  const quiet = isBlind ? "No decision was seen lately, but the log may be out of reach." : NO_DECISIONS;
  const decisions = useMemo(() => decisionLines(busy(seconds)), [seconds]);
  const latency = useMemo(() => latencyLines(seconds), [seconds]);
  return (
    <>
      {consumers.data !== undefined && <LookNotice consumers={consumers.data} />}
      <Tiles overview={overview} consumers={consumers.data} />
      <div className="ops-charts">
        <Chart title="Decisions a second" data={decisions} format={rate} empty={quiet} />
        <Chart title="Time to the log" data={latency} format={milliseconds} empty={quiet} />
        <Chart
          title="Lag of the consumers"
          data={lag.series()}
          format={span}
          empty="Nothing is known of it yet. It is collected while this page is open."
        />
      </div>
      <SalesNow sales={overview.sales} />
    </>
  );
}

/** Only zeros are no lines to look at. */
function busy(seconds: DecisionSecond[]): DecisionSecond[] {
  const isQuiet = seconds.every(
    (one) => one.accepted + one.alreadyPurchased + one.soldOut + one.notActive === 0,
  );
  return isQuiet ? [] : seconds;
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
