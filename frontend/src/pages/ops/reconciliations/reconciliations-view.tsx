import { useCallback, useState } from "react";
import { readReconciliations } from "../../../api/ops-reconciliations";
import type { Discrepancy, Reconciliation } from "../../../api/ops-types";
import { changeParams, useParams } from "../address";
import { count } from "../format";
import { usePoll } from "../live/use-poll";
import { type Column, DataTable } from "../parts/data-table";
import { Badge, Moment } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { ViewHead } from "../parts/view-head";
import { useWorkplace } from "../workplace";
import { ReconcileDialog } from "./reconcile-dialog";
import { SkuFilter } from "./sku-filter";

const EVERY_MS = 5_000;
const SHOWN_MAX = 100;

/** Comparisons of the log with Redis and Postgres, and what they found. */
export function ReconciliationsView() {
  const { ops } = useWorkplace();
  const sku = useParams().get("sku") ?? "";
  const ask = useCallback(
    (signal: AbortSignal) => readReconciliations(ops, { sku, limit: SHOWN_MAX }, signal),
    [ops, sku],
  );
  const past = usePoll(ask, EVERY_MS);
  const [isComparing, setComparing] = useState(false);
  return (
    <>
      <ViewHead title="Reconciliations">
        <button type="button" className="button" onClick={() => setComparing(true)}>
          Compare now…
        </button>
      </ViewHead>
      <SkuFilter sku={sku} onChange={(sku) => changeParams({ sku })} />
      <Loaded polled={past} what="the reconciliations">
        {(data) => (
          <ReconciliationTable
            rows={data.reconciliations}
            empty={sku === "" ? "Nothing was compared yet." : `${sku} was not compared yet.`}
            sortParam="sort"
            testId="reconciliations"
          />
        )}
      </Loaded>
      {isComparing && <ReconcileDialog sku={sku} onDone={past.refresh} onClose={() => setComparing(false)} />}
    </>
  );
}

export function ReconciliationTable({
  rows,
  empty,
  sortParam,
  testId,
}: {
  rows: Reconciliation[];
  /** In the place of a table without rows. */
  empty: string;
  sortParam?: string;
  testId?: string;
}) {
  return (
    <DataTable
      caption="Reconciliations, the newest first"
      columns={COLUMNS}
      rows={rows}
      keyOf={({ runId, sku }) => `${runId} of ${sku}`}
      details={({ sku, found, discrepancies }) => (
        <Differences sku={sku} found={found} discrepancies={discrepancies} />
      )}
      empty={empty}
      {...(sortParam === undefined ? {} : { sortParam })}
      {...(testId === undefined ? {} : { testId })}
    />
  );
}

function Differences({ sku, found, discrepancies }: Pick<Reconciliation, "sku" | "found" | "discrepancies">) {
  return (
    <div className="ops-stack">
      <DataTable
        caption={`Differences of ${sku}`}
        columns={DISCREPANCY_COLUMNS}
        rows={discrepancies}
        keyOf={(one) => `${one.class} ${one.subject}`}
        empty="Nothing differs."
      />
      {found > discrepancies.length && discrepancies.length > 0 && (
        <p className="hint">
          The first {count(discrepancies.length)} of {count(found)}.
        </p>
      )}
    </div>
  );
}

const COLUMNS: Column<Reconciliation>[] = [
  { id: "sku", title: "SKU", cell: ({ sku }) => sku, sortBy: ({ sku }) => sku },
  {
    id: "at",
    title: "Finished",
    cell: ({ finishedAt }) => <Moment iso={finishedAt} />,
    sortBy: (row) => row.finishedAt,
  },
  {
    id: "mode",
    title: "Mode",
    cell: ({ mode }) => (mode === "REPAIR" ? "repair" : "dry run"),
    sortBy: ({ mode }) => mode,
  },
  { id: "trigger", title: "Why", cell: ({ trigger }) => trigger, sortBy: ({ trigger }) => trigger },
  {
    id: "compared",
    title: "Compared",
    cell: ({ compared }) => count(compared),
    sortBy: (row) => row.compared,
    isNumeric: true,
  },
  {
    id: "found",
    title: "Differences",
    cell: (row) => <Found row={row} />,
    sortBy: ({ found }) => found,
    isNumeric: true,
  },
  {
    id: "repaired",
    title: "Repaired",
    cell: ({ repaired }) => count(repaired),
    sortBy: (row) => row.repaired,
    isNumeric: true,
  },
];

function Found({ row: { found, repaired } }: { row: Reconciliation }) {
  const tone = found === 0 ? "good" : found > repaired ? "bad" : "wait";
  return <Badge tone={tone}>{count(found)}</Badge>;
}

const DISCREPANCY_COLUMNS: Column<Discrepancy>[] = [
  { id: "class", title: "Class", cell: (one) => one.class },
  { id: "subject", title: "Of what", cell: ({ subject }) => <code>{subject}</code> },
  { id: "detail", title: "What differs", cell: ({ detail }) => <span className="ops-prose">{detail}</span> },
  { id: "repaired", title: "Repaired", cell: ({ repaired }) => (repaired ? "yes" : "no") },
];
