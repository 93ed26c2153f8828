import { useCallback } from "react";
import { readDeadLetter } from "../../../api/ops-dead-letters";
import type { DeadLetter, DeadLetterDetail } from "../../../api/ops-types";
import { usePoll } from "../live/use-poll";
import { Dialog } from "../parts/dialog";
import { Badge, Moment } from "../parts/figures";
import { Loaded } from "../parts/loaded";
import { Headers, Payload } from "../parts/payload";
import { useWorkplace } from "../workplace";
import type { Wish } from "./dead-letters-view";
import { ActButtons, STATE_TONES } from "./letter-tables";

const EVERY_MS = 10_000;

/** One letter, with all that is known of it. */
export function LetterDialog({
  id,
  onWish,
  onClose,
}: {
  id: string;
  onWish: (wish: Wish) => void;
  onClose: () => void;
}) {
  const { ops } = useWorkplace();
  const ask = useCallback((signal: AbortSignal) => readDeadLetter(ops, id, signal), [ops, id]);
  const letter = usePoll(ask, EVERY_MS);
  return (
    <Dialog title={`Letter ${id}`} onClose={onClose}>
      <Loaded polled={letter} what={`letter ${id}`}>
        {(data) => <Letter letter={data} />}
      </Loaded>
      <div className="ops-buttons">
        {letter.data?.state === "OPEN" && (
          <ActButtons
            name={id}
            onAct={(act) => onWish({ act, letters: { ids: [id] }, what: `letter ${id}` })}
          />
        )}
        <button type="button" className="button button-quiet" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

const NO_SOURCE = "It does not say where it was, so it cannot be sent again. Discard it when you know why.";

function placeOf({ topic, partition, offset }: NonNullable<DeadLetter["source"]>): string {
  return `${topic}, partition ${partition}, offset ${offset}`;
}

function Letter({ letter }: { letter: DeadLetterDetail }) {
  const { state, message, consumer, attempts, firstSeen, lastSeen, source, key, act, headers } = letter;
  const facts: [string, React.ReactNode][] = [
    ["Cause", letter.class],
    ["What was wrong", message],
    ["Consumer", consumer],
    ["Attempts", attempts],
    ["First seen", <Moment key="first" iso={firstSeen} />],
    ["Last seen", <Moment key="last" iso={lastSeen} />],
    ["Record", source === null ? NO_SOURCE : placeOf(source)],
    ["Key", key === null ? "none" : <code key="key">{key}</code>],
  ];
  return (
    <div className="ops-stack" data-testid="letter">
      <Badge tone={STATE_TONES[state]}>{state.toLowerCase()}</Badge>
      {act !== null && (
        <p>
          {act.action} by {act.by}, <Moment iso={act.at} />
          {act.reason !== null && `: ${act.reason}`}
        </p>
      )}
      <dl className="ops-pairs">
        {facts.map(([name, fact]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
      </dl>
      <h3>Record</h3>
      <Payload value={letter.value} hex={letter.hex} schemaId={letter.schemaId} problem={letter.problem} />
      <h3>Headers</h3>
      <Headers headers={headers} />
    </div>
  );
}
