import { useState } from "react";
import type { Problem } from "../../../api/ops-client";
import { resetConsumer, saysRunning } from "../../../api/ops-consumers";
import type { Consumer, ResetPartition, ResetPlan, ResetRequest } from "../../../api/ops-types";
import { count, plural } from "../format";
import { type Column, DataTable } from "../parts/data-table";
import { PlanDialog } from "../parts/plan-dialog";
import { useWorkplace } from "../workplace";
import { keyOfPartition } from "./consumer-details";
import { type ResetForm, ResetInputs, requestOf } from "./reset-form";

const BLANK: ResetForm = { to: "earliest", offset: "", time: "", group: "", topic: "", partitions: "" };

/** Moves a consumer to another place in the log: first what that would mean, then the button that does it. */
export function ResetDialog({
  consumer,
  onDone,
  onClose,
}: {
  consumer: Consumer;
  onDone: () => void;
  onClose: () => void;
}) {
  const { ops } = useWorkplace();
  const [form, setForm] = useState(BLANK);
  const request: ResetRequest = requestOf(form);
  const topics = [...new Set(consumer.partitions.map(({ topic }) => topic))];
  return (
    <PlanDialog<ResetPlan>
      title={`Reset ${consumer.name}`}
      subject={JSON.stringify(request)}
      ask={(dryRun) => resetConsumer(ops, consumer.name, { ...request, dryRun })}
      form={<ResetInputs form={form} topics={topics} onChange={setForm} />}
      showPlan={(plan) => <Plan plan={plan} />}
      confirm={({ partitions }) =>
        partitions.length === 0 ? undefined : `Reset ${plural(partitions.length, "partition")}`
      }
      showResult={(result) => <Plan plan={result} />}
      explain={explain}
      onDone={onDone}
      onClose={onClose}
    />
  );
}

function explain(problem: Problem): string | undefined {
  if (problem.kind !== "refusal" || !saysRunning(problem.status, problem.error.code)) return undefined;
  return `Nothing was changed: the consumer is running (CONSUMER_RUNNING). Stop every member of it, then plan again.`;
}

const COLUMNS: Column<ResetPartition>[] = [
  { id: "place", title: "Partition", cell: keyOfPartition },
  {
    id: "from",
    title: "From",
    cell: ({ from }) => (from === null ? "never read" : count(from)),
    isNumeric: true,
  },
  { id: "to", title: "To", cell: ({ to }) => count(to), isNumeric: true },
  { id: "replays", title: "Reads again", cell: ({ replays }) => count(replays), isNumeric: true },
  { id: "skips", title: "Leaves out", cell: ({ skips }) => count(skips), isNumeric: true },
];

function Plan({ plan }: { plan: ResetPlan }) {
  const { dryRun, partitions, replays, skips, warnings } = plan;
  return (
    <>
      {dryRun && warnings.length > 0 && (
        <ul className="ops-warning ops-list" aria-label="Before you do it">
          {warnings.map((warning) => (
            <li key={warning}>{warning}</li>
          ))}
        </ul>
      )}
      <p>
        {dryRun ? "Would read" : "Reads"} {plural(replays, "record")} again and {dryRun ? "leave" : "leaves"}{" "}
        out {count(skips)}.
      </p>
      <DataTable
        caption="Partitions and where they go"
        columns={COLUMNS}
        rows={partitions}
        keyOf={keyOfPartition}
        empty="No partition would move."
      />
    </>
  );
}
