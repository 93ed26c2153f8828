import { useState } from "react";
import type { DeadLetter, DeadLetterGroup } from "../../../api/ops-types";
import { changeParams } from "../address";
import { count, plural } from "../format";
import { type Column, DataTable } from "../parts/data-table";
import { Badge, Moment, type Tone } from "../parts/figures";
import type { Wish } from "./dead-letters-view";

type OnWish = (wish: Wish) => void;

/** Open letters by their cause. */
export function GroupTable({
  groups,
  open,
  onWish,
}: {
  groups: DeadLetterGroup[];
  open: number;
  onWish: OnWish;
}) {
  return (
    <section className="ops-section">
      <div className="ops-head">
        <h2>By cause</h2>
        {open > 0 && (
          <button
            type="button"
            className="button button-small"
            onClick={() => onWish({ act: "redrive", letters: { all: true }, what: "every open letter" })}
          >
            Redrive all…
          </button>
        )}
      </div>
      <DataTable
        caption="Open dead letters by cause"
        columns={groupColumns(onWish)}
        rows={groups}
        keyOf={(group) => `${group.class} of ${group.consumer}`}
        sortParam="groups"
        empty="No letter is open: nobody must do anything here."
        testId="groups"
      />
    </section>
  );
}

function groupColumns(onWish: OnWish): Column<DeadLetterGroup>[] {
  return [
    {
      id: "class",
      title: "Cause",
      cell: (group) => (
        <button type="button" className="text-button" onClick={() => changeParams({ class: group.class })}>
          {group.class}
        </button>
      ),
      sortBy: (group) => group.class,
    },
    {
      id: "consumer",
      title: "Consumer",
      cell: ({ consumer }) => consumer,
      sortBy: ({ consumer }) => consumer,
    },
    {
      id: "count",
      title: "Letters",
      cell: (group) => count(group.count),
      sortBy: (group) => group.count,
      isNumeric: true,
    },
    {
      id: "message",
      title: "What was wrong, newest",
      cell: ({ message }) => <span className="ops-prose">{message}</span>,
    },
    {
      id: "last",
      title: "Last seen",
      cell: ({ lastSeen }) => <Moment iso={lastSeen} />,
      sortBy: ({ lastSeen }) => lastSeen,
    },
    {
      id: "actions",
      title: "Actions",
      cell: (group) => {
        const wish = {
          letters: { class: group.class },
          what: `every open letter of the cause ${group.class}`,
        };
        return <ActButtons name={`all of ${group.class}`} onAct={(act) => onWish({ act, ...wish })} />;
      },
    },
  ];
}

export function ActButtons({ name, onAct }: { name: string; onAct: (act: Wish["act"]) => void }) {
  return (
    <div className="ops-row-buttons">
      <button
        type="button"
        className="button button-small"
        aria-label={`Redrive ${name}`}
        onClick={() => onAct("redrive")}
      >
        Redrive…
      </button>
      <button
        type="button"
        className="button button-small"
        aria-label={`Discard ${name}`}
        onClick={() => onAct("discard")}
      >
        Discard…
      </button>
    </div>
  );
}

/** The letters, of which several can be marked. */
export function LetterTable({
  letters,
  empty,
  onWish,
}: {
  letters: DeadLetter[];
  /** In the place of a table without letters. */
  empty: string;
  onWish: OnWish;
}) {
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const openIds = letters.filter(({ state }) => state === "OPEN").map(({ id }) => id);
  // What was dealt with meanwhile is not marked any more.
  const ids = openIds.filter((id) => marked.has(id));
  const mark = (id: string, isMarked: boolean) =>
    setMarked(new Set(isMarked ? [...ids, id] : ids.filter((other) => other !== id)));
  const wish = { letters: { ids }, what: plural(ids.length, "marked letter") };
  return (
    <section className="ops-section">
      <div className="ops-head">
        <h2>Letters</h2>
        <p role="status" className="hint">
          {ids.length > 0 && `${ids.length} marked`}
        </p>
        {ids.length > 0 && <ActButtons name="the marked letters" onAct={(act) => onWish({ act, ...wish })} />}
      </div>
      <DataTable
        caption="Dead letters, the newest first"
        columns={[markColumn(openIds, ids, setMarked, mark), ...letterColumns(onWish)]}
        rows={letters}
        keyOf={({ id }) => id}
        sortParam="sort"
        empty={empty}
        testId="letters"
      />
    </section>
  );
}

function markColumn(
  openIds: string[],
  ids: string[],
  setMarked: (marked: ReadonlySet<string>) => void,
  mark: (id: string, isMarked: boolean) => void,
): Column<DeadLetter> {
  return {
    id: "mark",
    isControl: true,
    title: (
      <input
        type="checkbox"
        aria-label="Mark every open letter shown"
        disabled={openIds.length === 0}
        checked={openIds.length > 0 && ids.length === openIds.length}
        onChange={(event) => setMarked(new Set(event.target.checked ? openIds : []))}
      />
    ),
    cell: ({ id, state }) => (
      <input
        type="checkbox"
        aria-label={`Mark ${id}`}
        disabled={state !== "OPEN"}
        checked={ids.includes(id)}
        onChange={(event) => mark(id, event.target.checked)}
      />
    ),
  };
}

export const STATE_TONES = {
  OPEN: "bad",
  REDRIVEN: "good",
  DISCARDED: "over",
} as const satisfies Record<DeadLetter["state"], Tone>;

function letterColumns(onWish: OnWish): Column<DeadLetter>[] {
  return [
    {
      id: "id",
      title: "Letter",
      cell: ({ id }) => (
        <button
          type="button"
          className="text-button"
          aria-label={`Inspect ${id}`}
          onClick={() => changeParams({ letter: id })}
        >
          {id}
        </button>
      ),
    },
    {
      id: "state",
      title: "State",
      cell: ({ state }) => <Badge tone={STATE_TONES[state]}>{state.toLowerCase()}</Badge>,
      sortBy: ({ state }) => state,
    },
    { id: "class", title: "Cause", cell: (letter) => letter.class, sortBy: (letter) => letter.class },
    {
      id: "message",
      title: "What was wrong",
      cell: ({ message }) => <span className="ops-prose">{message}</span>,
    },
    {
      id: "key",
      title: "Key",
      cell: ({ key }) => (key === null ? "none" : <code>{key}</code>),
      sortBy: ({ key }) => key,
    },
    {
      id: "attempts",
      title: "Attempts",
      cell: ({ attempts }) => count(attempts),
      sortBy: ({ attempts }) => attempts,
      isNumeric: true,
    },
    {
      id: "last",
      title: "Last seen",
      cell: ({ lastSeen }) => <Moment iso={lastSeen} />,
      sortBy: ({ lastSeen }) => lastSeen,
    },
    {
      id: "actions",
      title: "Actions",
      cell: ({ id, state }) =>
        state === "OPEN" && (
          <ActButtons
            name={id}
            onAct={(act) => onWish({ act, letters: { ids: [id] }, what: `letter ${id}` })}
          />
        ),
    },
  ];
}
