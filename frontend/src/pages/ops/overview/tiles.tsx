import type { ReactNode } from "react";
import type { Consumer, Consumers, Overview, SaleOverview } from "../../../api/ops-types";
import { hrefOf } from "../address";
import { count, plural, rate } from "../format";
import { Figure, Moment, severity, VerdictBadge } from "../parts/figures";
import { ViewLink } from "../parts/view-link";

/** The figures that say whether somebody must look. */
export function Tiles({ overview, consumers }: { overview: Overview; consumers: Consumers | undefined }) {
  const { sales, outbox, deadLetters, lastReconciliation } = overview;
  const live = sales.filter(({ state, paused }) => state === "ACTIVE" && !paused);
  const sold = live.reduce((sum, { soldPerSecond }) => sum + soldPerSecond, 0);
  return (
    <ul className="ops-tiles" data-testid="tiles">
      <Tile title="Live sales" href={hrefOf("sales")} value={count(live.length)}>
        of {plural(sales.length, "sale")}; {rate(sold)} sold
      </Tile>
      <Tile
        title="Not in the log yet"
        href={hrefOf("sales")}
        isBad={sales.some(isStuck)}
        value={<Figure value={outbox.entries} as={count} />}
      >
        sold units in the outbox
      </Tile>
      <Tile
        title="Open dead letters"
        href={hrefOf("dead-letters")}
        isBad={(deadLetters.open ?? 0) > 0}
        value={<Figure value={deadLetters.open} as={count} />}
      >
        records that nobody could use
      </Tile>
      <ReconciliationTile last={lastReconciliation} />
      <VerdictTile consumers={consumers?.consumers} />
    </ul>
  );
}

/** What is sold passes through the outbox; it must not stay there. */
function isStuck({ outbox, soldPerSecond }: SaleOverview): boolean {
  return (outbox ?? 0) > 0 && soldPerSecond === 0;
}

function ReconciliationTile({ last }: { last: Overview["lastReconciliation"] }) {
  const left = last === null ? undefined : last.found - last.repaired;
  return (
    <Tile
      title="Differences"
      href={hrefOf("reconciliations")}
      isBad={(left ?? 0) > 0}
      value={<Figure value={left} as={count} />}
    >
      {last === null ? (
        "nothing was compared yet"
      ) : (
        <>
          in {last.sku}, compared <Moment iso={last.finishedAt} />
          {last.repaired > 0 && `; ${count(last.repaired)} repaired`}
        </>
      )}
    </Tile>
  );
}

function VerdictTile({ consumers }: { consumers: Consumer[] | undefined }) {
  const worst = worstOf(consumers ?? []);
  return (
    <Tile
      title="Worst consumer"
      href={hrefOf("consumers", { sort: "-verdict" })}
      value={
        worst === undefined ? <Figure value={null} as={count} /> : <VerdictBadge verdict={worst.verdict} />
      }
    >
      {worst === undefined ? "no consumer is known yet" : `${worst.name}: ${worst.why}`}
    </Tile>
  );
}

export function worstOf(consumers: Consumer[]): Consumer | undefined {
  return consumers.reduce<Consumer | undefined>(
    (worst, one) => (worst === undefined || severity(one.verdict) > severity(worst.verdict) ? one : worst),
    undefined,
  );
}

function Tile({
  title,
  href,
  value,
  isBad = false,
  children,
}: {
  title: string;
  href: string;
  value: ReactNode;
  isBad?: boolean;
  children: ReactNode;
}) {
  return (
    <li className="ops-card ops-tile" data-bad={isBad ? "" : undefined}>
      <h2>
        <ViewLink href={href}>{title}</ViewLink>
      </h2>
      <p className="ops-tile-value">{value}</p>
      <p className="hint">{children}</p>
    </li>
  );
}
