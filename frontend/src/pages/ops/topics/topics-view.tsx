import { useCallback } from "react";
import { readTopics } from "../../../api/ops-topics";
import type { TopicDescription } from "../../../api/ops-types";
import { changeParams, hrefOf, useParams } from "../address";
import { asText, count, plural } from "../format";
import { usePoll } from "../live/use-poll";
import { type Column, DataTable } from "../parts/data-table";
import { Badge } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { ViewHead } from "../parts/view-head";
import { ViewLink } from "../parts/view-link";
import { useWorkplace } from "../workplace";
import { MessagesView } from "./messages-view";

const EVERY_MS = 10_000;

/** The topics, or the messages of the one that the address names. */
export function TopicsView() {
  const topic = useParams().get("topic") ?? "";
  return topic === "" ? <TopicList /> : <MessagesView key={topic} topic={topic} />;
}

function TopicList() {
  const { ops } = useWorkplace();
  const ask = useCallback((signal: AbortSignal) => readTopics(ops, signal), [ops]);
  const topics = usePoll(ask, EVERY_MS);
  const showsInternal = useParams().get("internal") === "1";
  return (
    <>
      <ViewHead title="Topics">
        <label className="ops-check">
          <input
            type="checkbox"
            checked={showsInternal}
            onChange={(event) => changeParams({ internal: event.target.checked ? "1" : "" }, "replace")}
          />
          Internal ones too
        </label>
      </ViewHead>
      <Loaded polled={topics} what="the topics">
        {(data) => (
          <DataTable
            caption="Topics of the log"
            columns={COLUMNS}
            rows={data.topics.filter(({ internal }) => showsInternal || !internal)}
            keyOf={({ name }) => name}
            details={(topic) => <TopicDetails topic={topic} />}
            sortParam="sort"
            empty="The log has no topics."
            testId="topics"
          />
        )}
      </Loaded>
    </>
  );
}

const COLUMNS: Column<TopicDescription>[] = [
  {
    id: "name",
    title: "Topic",
    cell: ({ name }) => <ViewLink href={hrefOf("topics", { topic: name })}>{name}</ViewLink>,
    sortBy: ({ name }) => name,
  },
  {
    id: "summary",
    title: "What is in it",
    cell: ({ summary }) => <span className="hint ops-prose">{summary ?? "No paper describes it."}</span>,
  },
  {
    id: "drift",
    title: "Settings",
    cell: (topic) => <Drift topic={topic} />,
    sortBy: ({ drift }) => drift.length,
    isNumeric: false,
  },
  {
    id: "partitions",
    title: "Partitions",
    cell: ({ partitions }) => count(partitions.length),
    sortBy: ({ partitions }) => partitions.length,
    isNumeric: true,
  },
  {
    id: "records",
    // Those of a compacted topic have holes.
    title: "Records, at most",
    cell: ({ records }) => count(records),
    sortBy: ({ records }) => records,
    isNumeric: true,
  },
  {
    id: "replication",
    title: "Copies",
    cell: ({ replication }) => count(replication),
    sortBy: ({ replication }) => replication,
    isNumeric: true,
  },
];

function Drift({ topic: { summary, drift } }: { topic: TopicDescription }) {
  if (drift.length > 0) {
    return (
      <div className="ops-verdict">
        <Badge tone="wait">{`${plural(drift.length, "setting")} drifted`}</Badge>
        {drift.map(({ setting, wanted, actual }) => (
          <span className="hint" key={setting}>
            {setting}: {asText(actual)}, wanted {asText(wanted)}
          </span>
        ))}
      </div>
    );
  }
  return summary === null ? (
    <Badge tone="over">no paper</Badge>
  ) : (
    <Badge tone="good">as its paper says</Badge>
  );
}

function TopicDetails({ topic }: { topic: TopicDescription }) {
  return (
    <div className="ops-stack">
      <DataTable
        caption={`Partitions of ${topic.name}`}
        columns={PARTITION_COLUMNS}
        rows={topic.partitions}
        keyOf={({ partition }) => String(partition)}
        empty="It has no partitions."
      />
      <dl className="ops-pairs">
        {Object.entries(topic.settings).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{asText(value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

const PARTITION_COLUMNS: Column<TopicDescription["partitions"][number]>[] = [
  { id: "partition", title: "Partition", cell: ({ partition }) => String(partition) },
  { id: "first", title: "First offset", cell: ({ first }) => count(first), isNumeric: true },
  { id: "end", title: "End", cell: ({ end }) => count(end), isNumeric: true },
  { id: "records", title: "Offsets", cell: ({ first, end }) => count(end - first), isNumeric: true },
];
