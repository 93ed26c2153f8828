import type { Consumer, ConsumerMember, ConsumerOrder, ConsumerPartition } from "../../../api/ops-types";
import { count, rate, span } from "../format";
import type { Action } from "../parts/action";
import { type Column, DataTable } from "../parts/data-table";
import { Figure, Moment, VerdictBadge } from "../parts/figures";
import type { Order } from "./consumers-view";

/** One consumer from close by: its partitions, who works for it, and what it was told. */
export function ConsumerDetails({
  consumer,
  action,
  order,
}: {
  consumer: Consumer;
  action: Action;
  order: Order;
}) {
  const { name, order: given } = consumer;
  return (
    <div className="ops-stack">
      {given !== null && <GivenOrder order={given} />}
      <DataTable
        caption={`Partitions of ${name}`}
        columns={partitionColumns(consumer, action, order)}
        rows={consumer.partitions}
        keyOf={keyOfPartition}
        empty="It has no partitions."
      />
      <DataTable
        caption={`Members of ${name}`}
        columns={MEMBER_COLUMNS}
        rows={consumer.members}
        keyOf={({ memberId }) => memberId}
        empty="No member is running."
      />
    </div>
  );
}

function GivenOrder({
  order: { action, partitions, untilOffset, issuedBy, issuedAt },
}: {
  order: ConsumerOrder;
}) {
  const where =
    partitions.length === 0
      ? "all partitions"
      : `${partitions.length === 1 ? "partition" : "partitions"} ${partitions.join(", ")}`;
  const until = untilOffset === null ? "" : ` until offset ${count(untilOffset)}`;
  return (
    <p>
      The order that stands: {action} {where}
      {until}, by {issuedBy}, <Moment iso={issuedAt} />
    </p>
  );
}

export function keyOfPartition({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic} ${partition}`;
}

function partitionColumns(consumer: Consumer, action: Action, order: Order): Column<ConsumerPartition>[] {
  const offset = (id: string, title: string, of: (partition: ConsumerPartition) => number | null) => ({
    id,
    title,
    cell: (partition: ConsumerPartition) => <Figure value={of(partition)} as={count} />,
    isNumeric: true,
  });
  const hasStored = consumer.partitions.some(({ stored }) => stored !== null);
  return [
    { id: "place", title: "Partition", cell: keyOfPartition },
    {
      id: "verdict",
      title: "Verdict",
      cell: ({ verdict, why }) => (
        <div className="ops-verdict">
          <VerdictBadge verdict={verdict} />
          <span className="hint">{why}</span>
        </div>
      ),
    },
    offset("committed", "On the broker", ({ committed }) => committed),
    ...(hasStored ? [offset("stored", "In Postgres", ({ stored }) => stored)] : []),
    offset("position", "Position", ({ position }) => position),
    offset("end", "End", ({ end }) => end),
    offset("lag", "Lag, records", ({ lagRecords }) => lagRecords),
    {
      id: "behind",
      title: "Lag, time",
      cell: ({ lagSeconds }) => <Figure value={lagSeconds} as={span} />,
      isNumeric: true,
    },
    {
      id: "rate",
      title: "Throughput",
      cell: ({ perSecond }) => <Figure value={perSecond} as={rate} />,
      isNumeric: true,
    },
    { id: "owner", title: "Member", cell: ({ owner }) => owner ?? "none" },
    {
      id: "paused",
      title: "Paused",
      cell: (partition) => (
        <PartitionButton consumer={consumer} partition={partition} action={action} order={order} />
      ),
    },
  ];
}

/** One button for both, so that the focus stays on it. */
function PartitionButton({
  consumer,
  partition: { partition, paused },
  action,
  order,
}: {
  consumer: Consumer;
  partition: ConsumerPartition;
  action: Action;
  order: Order;
}) {
  if (!consumer.ours) return paused ? "yes" : "no";
  const what = paused ? "resume" : "pause";
  const text = paused ? "Resume" : "Pause";
  const place = `partition ${partition} of ${consumer.name}`;
  return (
    <button
      type="button"
      className="button button-small"
      aria-label={`${text} ${place}`}
      aria-busy={action.busy === `${what} ${place}`}
      onClick={() => order(consumer, what, partition)}
    >
      {text}
    </button>
  );
}

/** "decisions 0, 1, 5; status 0" */
function byTopic(partitions: ConsumerMember["partitions"]): string {
  const topics = [...new Set(partitions.map(({ topic }) => topic))];
  const numbers = (topic: string) =>
    partitions.filter((one) => one.topic === topic).map(({ partition }) => partition);
  return topics.map((topic) => `${topic} ${numbers(topic).join(", ")}`).join("; ");
}

const MEMBER_COLUMNS: Column<ConsumerMember>[] = [
  { id: "client", title: "Member", cell: ({ clientId }) => clientId },
  { id: "id", title: "Id", cell: ({ memberId }) => <code>{memberId}</code> },
  { id: "host", title: "Host", cell: ({ host }) => host },
  {
    id: "partitions",
    title: "Partitions",
    cell: ({ partitions }) => byTopic(partitions),
  },
];
