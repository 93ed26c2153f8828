import { useCallback, useMemo } from "react";
import { readReport } from "../../../api/ops-sales";
import type { ReportSecond, SaleReport } from "../../../api/ops-types";
import { StateBadge } from "../../../components/state-badge";
import { hrefOf } from "../address";
import { Chart, type ChartData } from "../chart/chart";
import { count, milliseconds, rate } from "../format";
import { usePoll } from "../live/use-poll";
import { Badge, Moment } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { saleStanding } from "../parts/standing";
import { ViewHead } from "../parts/view-head";
import { ViewLink } from "../parts/view-link";
import { useWorkplace } from "../workplace";

const EVERY_MS = 5_000;

/** What came of one sale: how many tried, how many got a unit, and when. */
export function ReportView({ sku }: { sku: string }) {
  const { ops } = useWorkplace();
  const ask = useCallback((signal: AbortSignal) => readReport(ops, sku, signal), [ops, sku]);
  const report = usePoll(ask, EVERY_MS);
  return (
    <>
      <p>
        <ViewLink href={hrefOf("sales")}>All sales</ViewLink>
      </p>
      <ViewHead title={`Report of ${sku}`} />
      <Loaded polled={report} what={`sale ${sku}`}>
        {(data) => <Report report={data} />}
      </Loaded>
    </>
  );
}

function Report({ report }: { report: SaleReport }) {
  const { perSecond, totals } = report;
  const lines = useMemo(() => attemptLines(perSecond), [perSecond]);
  return (
    <div className="ops-stack">
      <Facts report={report} />
      <p className="hint">
        Counted in Postgres, which follows the log. What its sink has not written yet is missing here:{" "}
        <ViewLink href={hrefOf("consumers")}>how far it is</ViewLink>.
      </p>
      <Chart title="Attempts a second" data={lines} format={rate} empty="Nobody has tried to buy." />
      <section className="ops-section">
        <h2>Totals</h2>
        <Funnel totals={totals} />
      </section>
    </div>
  );
}

function Facts({ report }: { report: SaleReport }) {
  const { productName, sold, initialStock, startTime, endTime, firstAt, lastAt, timeToSellOutMs } = report;
  const facts: [string, React.ReactNode][] = [
    ["Name", productName],
    ["State", <Standing key="state" report={report} />],
    ["Sold", `${count(sold)} of ${count(initialStock)}`],
    ["Starts", <Moment key="start" iso={startTime} />],
    ["Ends", <Moment key="end" iso={endTime} />],
    ["First attempt", firstAt === null ? "none" : <Moment key="first" iso={firstAt} />],
    ["Last attempt", lastAt === null ? "none" : <Moment key="last" iso={lastAt} />],
    ["Sold out after", timeToSellOutMs === null ? "not sold out" : milliseconds(timeToSellOutMs)],
  ];
  return (
    <dl className="ops-card ops-pairs" data-testid="report">
      {facts.map(([name, fact]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{fact}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The report does not tell whether an active sale is paused. */
function Standing({ report: { state, endReason } }: { report: SaleReport }) {
  switch (state) {
    case null:
      return <span className="ops-unknown">unknown</span>;
    case "ACTIVE":
      return <Badge tone="good">Active</Badge>;
    default:
      return <StateBadge sale={saleStanding({ state, endReason, paused: false })} />;
  }
}

/** From everybody who tried to those who got one, with the share of each. */
function Funnel({ totals }: { totals: SaleReport["totals"] }) {
  const { attempts, accepted, alreadyPurchased, soldOut, notActive } = totals;
  const rows: [string, number][] = [
    ["Attempts", attempts],
    ["Accepted", accepted],
    ["Already purchased", alreadyPurchased],
    ["Sold out", soldOut],
    ...Object.entries(notActive).map(([reason, amount]): [string, number] => [
      `Not active: ${reason}`,
      amount,
    ]),
  ];
  return (
    <div className="ops-scroll">
      <table className="ops-table" data-testid="funnel">
        <caption className="visually-hidden">Attempts by what came of them</caption>
        <thead>
          <tr>
            <th scope="col">Outcome</th>
            <th scope="col" className="ops-number">
              Attempts
            </th>
            <th scope="col" className="ops-number">
              Share
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, amount]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td className="ops-number">{count(amount)}</td>
              <td className="ops-number">{attempts === 0 ? "–" : percent(amount / attempts)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** The report leaves quiet seconds out; without them a line would go on over them. */
export function attemptLines(seconds: ReportSecond[]): ChartData {
  const dense: (Omit<ReportSecond, "at"> & { time: number })[] = [];
  const quiet = { attempts: 0, accepted: 0, alreadyPurchased: 0, soldOut: 0, notActive: 0 };
  for (const { at, ...counts } of seconds) {
    const time = Math.floor(Date.parse(at) / 1_000);
    const last = dense.at(-1)?.time ?? time;
    if (time - last > 1) dense.push({ ...quiet, time: last + 1 });
    if (time - last > 2) dense.push({ ...quiet, time: time - 1 });
    dense.push({ ...counts, time });
  }
  const line = (label: string, of: (counts: typeof quiet) => number) => ({ label, values: dense.map(of) });
  return {
    times: dense.map(({ time }) => time),
    series: [
      line("Attempts", ({ attempts }) => attempts),
      line("Accepted", ({ accepted }) => accepted),
      line("Already purchased", ({ alreadyPurchased }) => alreadyPurchased),
      line("Sold out", ({ soldOut }) => soldOut),
      line("Not active", ({ notActive }) => notActive),
    ],
  };
}
