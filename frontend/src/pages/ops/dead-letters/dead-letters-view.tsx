import { useCallback, useState } from "react";
import { readDeadLetters } from "../../../api/ops-dead-letters";
import type { DeadLetters, LetterSelection } from "../../../api/ops-types";
import { changeParams, useParams } from "../address";
import { usePoll } from "../live/use-poll";
import { Field } from "../parts/field";
import { Loaded } from "../parts/loaded";
import { ViewHead } from "../parts/view-head";
import { useWorkplace } from "../workplace";
import { DiscardDialog } from "./discard-dialog";
import { LetterDialog } from "./letter-dialog";
import { GroupTable, LetterTable } from "./letter-tables";
import { RedriveDialog } from "./redrive-dialog";

const EVERY_MS = 5_000;
const STATES = ["open", "redriven", "discarded", "all"];

/** What is to be done with which letters. */
export interface Wish {
  act: "redrive" | "discard";
  letters: LetterSelection;
  /** As in "Redrive 3 letters". */
  what: string;
}

/** Records that nobody could use: by their cause, one by one, and what becomes of them. */
export function DeadLettersView() {
  const { ops } = useWorkplace();
  const params = useParams();
  const state = STATES.find((name) => name === params.get("state")) ?? "open";
  const cause = params.get("class") ?? "";
  const ask = useCallback(
    (signal: AbortSignal) => readDeadLetters(ops, { state, class: cause }, signal),
    [ops, state, cause],
  );
  const letters = usePoll(ask, EVERY_MS);
  const [wish, setWish] = useState<Wish>();
  const inspected = params.get("letter") ?? "";
  const act = { letters: wish?.letters ?? { ids: [] }, what: wish?.what ?? "" };
  const close = () => setWish(undefined);
  return (
    <>
      <ViewHead title="Dead letters" />
      <LetterFilters state={state} cause={cause} />
      <Loaded polled={letters} what="the dead letters">
        {(data) => <Content data={data} state={state} cause={cause} onWish={setWish} />}
      </Loaded>
      {inspected !== "" && wish === undefined && (
        <LetterDialog
          key={inspected}
          id={inspected}
          onWish={setWish}
          onClose={() => changeParams({ letter: "" }, "replace")}
        />
      )}
      {wish?.act === "redrive" && <RedriveDialog {...act} onDone={letters.refresh} onClose={close} />}
      {wish?.act === "discard" && <DiscardDialog {...act} onDone={letters.refresh} onClose={close} />}
    </>
  );
}

function Content({
  data,
  state,
  cause,
  onWish,
}: {
  data: DeadLetters;
  state: string;
  cause: string;
  onWish: (wish: Wish) => void;
}) {
  const { open, redriven, discarded, groups, letters, more } = data;
  return (
    <>
      <p className="hint" data-testid="letter-counts">
        {open} open, {redriven} redriven, {discarded} discarded
      </p>
      {state === "open" && <GroupTable groups={groups} open={open} onWish={onWish} />}
      <LetterTable letters={letters} empty={noneText(state, cause)} onWish={onWish} />
      {more && (
        <p className="hint">
          These are the newest {letters.length}. There are more: narrow it down by the cause to see others.
        </p>
      )}
    </>
  );
}

function noneText(state: string, cause: string): string {
  const what =
    state === "all"
      ? "There is no letter"
      : state === "open"
        ? "No letter is open"
        : `No letter was ${state}`;
  return cause === "" ? `${what}.` : `${what} that has the cause ${cause}.`;
}

function LetterFilters({ state, cause }: { state: string; cause: string }) {
  return (
    <div className="ops-filters">
      <Field label="State">
        {(props) => (
          <select
            {...props}
            value={state}
            onChange={(event) =>
              changeParams({ state: event.target.value === "open" ? "" : event.target.value })
            }
          >
            {STATES.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        )}
      </Field>
      {cause !== "" && (
        <p className="ops-filter">
          Cause: <code>{cause}</code>
          <button type="button" className="text-button" onClick={() => changeParams({ class: "" })}>
            Show every cause
          </button>
        </p>
      )}
    </div>
  );
}
