import { useCallback } from "react";
import { readActs } from "../../../api/ops-acts";
import type { Act } from "../../../api/ops-types";
import { changeParams, useParams } from "../address";
import { usePoll } from "../live/use-poll";
import { type Column, DataTable } from "../parts/data-table";
import { Field } from "../parts/field";
import { Moment } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { Code } from "../parts/payload";
import { ViewHead } from "../parts/view-head";
import { useWorkplace } from "../workplace";

const EVERY_MS = 5_000;
const SHOWN_MAX = 200;

/** Who did what, the newest first. */
export function ActsView() {
  const { ops } = useWorkplace();
  const ask = useCallback((signal: AbortSignal) => readActs(ops, { limit: SHOWN_MAX }, signal), [ops]);
  const acts = usePoll(ask, EVERY_MS);
  const wanted = useParams().get("action") ?? "";
  return (
    <>
      <ViewHead title="Acts" />
      <Loaded polled={acts} what="the acts">
        {({ acts }) => (
          <>
            <ActionFilter acts={acts} wanted={wanted} />
            <DataTable
              caption="What operators did, the newest first"
              columns={COLUMNS}
              rows={acts.filter(({ action }) => wanted === "" || action === wanted)}
              keyOf={({ at, action, target }) => `${action} of ${target} at ${at}`}
              details={({ detail }) =>
                detail === null ? (
                  <p className="hint">Nothing more was noted.</p>
                ) : (
                  <Code label="Detail" text={JSON.stringify(detail, null, 2)} />
                )
              }
              sortParam="sort"
              empty={wanted === "" ? "Nobody has done anything yet." : `None of these acts is ${wanted}.`}
              testId="acts"
            />
            {acts.length === SHOWN_MAX && (
              <p className="hint">
                These are the newest {SHOWN_MAX}; <code>flashsale ops acts</code> lists more.
              </p>
            )}
          </>
        )}
      </Loaded>
    </>
  );
}

function ActionFilter({ acts, wanted }: { acts: Act[]; wanted: string }) {
  const names = [...new Set([...acts.map(({ action }) => action), wanted])].filter((name) => name !== "");
  return (
    <div className="ops-filters">
      <Field label="Action">
        {(props) => (
          <select
            {...props}
            value={wanted}
            onChange={(event) => changeParams({ action: event.target.value })}
          >
            <option value="">All</option>
            {names.sort().map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        )}
      </Field>
    </div>
  );
}

const COLUMNS: Column<Act>[] = [
  { id: "at", title: "When", cell: ({ at }) => <Moment iso={at} />, sortBy: ({ at }) => at },
  { id: "by", title: "Who", cell: ({ by }) => by, sortBy: ({ by }) => by },
  { id: "action", title: "Action", cell: ({ action }) => action, sortBy: ({ action }) => action },
  { id: "target", title: "Of what", cell: ({ target }) => target, sortBy: ({ target }) => target },
  { id: "reason", title: "Reason", cell: ({ reason }) => <span className="ops-prose">{reason ?? ""}</span> },
];
