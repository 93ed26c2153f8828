import { useState } from "react";
import { orderConsumer } from "../../../api/ops-consumers";
import type { Consumer } from "../../../api/ops-types";
import { count, plural, rate, span } from "../format";
import { useConsumers } from "../live/use-consumers";
import { type Action, ActionSaid, useAction } from "../parts/action";
import { type Column, DataTable } from "../parts/data-table";
import { Badge, Figure, severity, VerdictBadge } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { ViewHead } from "../parts/view-head";
import { useWorkplace } from "../workplace";
import { ConsumerDetails } from "./consumer-details";
import { LookNotice } from "./look-notice";
import { ResetDialog } from "./reset-dialog";

/** Everybody who reads the log, how far they are, and what one can do about it. */
export function ConsumersView() {
  const consumers = useConsumers();
  const action = useAction(consumers.refresh);
  const [resetting, setResetting] = useState<Consumer>();
  const order = useOrder(action);
  return (
    <>
      <ViewHead title="Consumers" />
      <ActionSaid action={action} />
      <Loaded polled={consumers} what="the consumers">
        {(data) => (
          <>
            <LookNotice consumers={data} />
            <p className="hint">
              Throughput and verdicts are of the last {span(data.windowSeconds)}. Lag that is not known is
              told as such.
            </p>
            <DataTable
              caption="Consumers of the log"
              columns={columns(action, order, setResetting)}
              rows={data.consumers}
              keyOf={({ name }) => name}
              details={(consumer) => <ConsumerDetails consumer={consumer} action={action} order={order} />}
              sortParam="sort"
              empty={
                data.at === null
                  ? "The service has not looked at them yet. It does so every few seconds."
                  : "Nobody reads the log."
              }
              testId="consumers"
            />
          </>
        )}
      </Loaded>
      {resetting !== undefined && (
        <ResetDialog
          consumer={resetting}
          onDone={consumers.refresh}
          onClose={() => setResetting(undefined)}
        />
      )}
    </>
  );
}

export type Order = (consumer: Consumer, what: "pause" | "resume", partition?: number) => void;

function useOrder(action: Action): Order {
  const { ops } = useWorkplace();
  return (consumer, what, partition) => {
    const { name } = consumer;
    const partitions = partition === undefined ? undefined : [partition];
    const place = partition === undefined ? name : `partition ${partition} of ${name}`;
    const done = what === "pause" ? "told to pause" : "told to go on";
    void action.run(
      `${what} ${place}`,
      () => orderConsumer(ops, name, what, partitions),
      () => `${place}: ${done}.`,
    );
  };
}

function columns(action: Action, order: Order, onReset: (consumer: Consumer) => void): Column<Consumer>[] {
  return [
    { id: "name", title: "Consumer", cell: ({ name }) => name, sortBy: ({ name }) => name },
    {
      id: "verdict",
      title: "Verdict",
      cell: ({ verdict, why }) => (
        <div className="ops-verdict">
          <VerdictBadge verdict={verdict} />
          <span className="hint">{why}</span>
        </div>
      ),
      sortBy: ({ verdict }) => severity(verdict),
      isNumeric: false,
    },
    {
      id: "lag",
      title: "Lag, records",
      cell: ({ lagRecords }) => <Figure value={lagRecords} as={count} />,
      sortBy: ({ lagRecords }) => lagRecords,
      isNumeric: true,
    },
    {
      id: "behind",
      title: "Lag, time",
      cell: ({ lagSeconds }) => <Figure value={lagSeconds} as={span} />,
      sortBy: ({ lagSeconds }) => lagSeconds,
      isNumeric: true,
    },
    {
      id: "rate",
      title: "Throughput",
      cell: ({ perSecond }) => <Figure value={perSecond} as={rate} />,
      sortBy: ({ perSecond }) => perSecond,
      isNumeric: true,
    },
    {
      id: "group",
      title: "Group",
      cell: ({ state, members }) => `${state.toLowerCase()}, ${plural(members.length, "member")}`,
      sortBy: ({ state }) => state,
    },
    {
      id: "paused",
      title: "Paused",
      cell: (consumer) => <PausedBadge consumer={consumer} />,
      sortBy: ({ paused }) => paused,
    },
    {
      id: "actions",
      title: "Actions",
      cell: (consumer) => <Buttons consumer={consumer} action={action} order={order} onReset={onReset} />,
    },
  ];
}

const PAUSED = { NONE: "no", SOME: "some partitions", ALL: "all" } as const;

function PausedBadge({ consumer: { paused } }: { consumer: Consumer }) {
  return paused === "NONE" ? PAUSED.NONE : <Badge tone="wait">{PAUSED[paused]}</Badge>;
}

function Buttons({
  consumer,
  action,
  order,
  onReset,
}: {
  consumer: Consumer;
  action: Action;
  order: Order;
  onReset: (consumer: Consumer) => void;
}) {
  const { name, ours, paused } = consumer;
  // `disabled` would take the focus from the button that was just pressed.
  return (
    <div className="ops-row-buttons">
      {ours && (
        <>
          <button
            type="button"
            className="button button-small"
            aria-label={`Pause ${name}`}
            aria-busy={action.busy === `pause ${name}`}
            aria-disabled={paused === "ALL"}
            onClick={() => paused !== "ALL" && order(consumer, "pause")}
          >
            Pause
          </button>
          <button
            type="button"
            className="button button-small"
            aria-label={`Resume ${name}`}
            aria-busy={action.busy === `resume ${name}`}
            aria-disabled={paused === "NONE"}
            onClick={() => paused !== "NONE" && order(consumer, "resume")}
          >
            Resume
          </button>
        </>
      )}
      <button
        type="button"
        className="button button-small"
        aria-label={`Reset ${name}`}
        onClick={() => onReset(consumer)}
      >
        Reset…
      </button>
    </div>
  );
}
