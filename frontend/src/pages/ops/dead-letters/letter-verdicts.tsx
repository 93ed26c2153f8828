import type { LetterVerdict, PlannedLetter } from "../../../api/ops-types";
import { count, plural } from "../format";
import { type Column, DataTable } from "../parts/data-table";
import { Badge, type Tone } from "../parts/figures";

/** More of them nobody reads. */
const SHOWN_MAX = 100;

const VERDICTS: Record<LetterVerdict, [text: string, tone: Tone]> = {
  WOULD_APPLY: ["would be applied", "good"],
  WOULD_BE_DUPLICATE: ["a duplicate", "over"],
  STILL_FAILING: ["still fails", "bad"],
  WOULD_DISCARD: ["discarded", "good"],
  NOT_OPEN: ["not open any more", "over"],
  UNKNOWN_LETTER: ["cannot be used", "wait"],
};

const COLUMNS: Column<PlannedLetter>[] = [
  { id: "id", title: "Letter", cell: ({ id }) => id },
  {
    id: "verdict",
    title: "Verdict",
    cell: ({ verdict }) => {
      const [text, tone] = VERDICTS[verdict];
      return <Badge tone={tone}>{text}</Badge>;
    },
  },
  { id: "detail", title: "Why", cell: ({ detail }) => <span className="ops-prose">{detail ?? ""}</span> },
];

const SENT: Column<PlannedLetter> = {
  id: "sent",
  title: "Sent",
  cell: ({ sent }) => (sent ? "yes" : "no"),
};

/** What each letter comes to, or has. */
export function LetterVerdicts({
  letters,
  showsSent = false,
}: {
  letters: PlannedLetter[];
  showsSent?: boolean;
}) {
  const hidden = letters.length - SHOWN_MAX;
  return (
    <>
      <DataTable
        caption="What each letter comes to"
        columns={showsSent ? [...COLUMNS, SENT] : COLUMNS}
        rows={letters.slice(0, SHOWN_MAX)}
        keyOf={({ id }) => id}
        empty="No letter is open any more: there is nothing to do."
      />
      {hidden > 0 && <p className="hint">And {plural(hidden, "letter")} more, counted but not listed.</p>}
    </>
  );
}

/** Said when one call does not take all. */
export function MoreLetters({ isMore, amount }: { isMore: boolean; amount: number }) {
  if (!isMore) return null;
  return (
    <p className="ops-warning">There are more than these {count(amount)}. Do the same again for the rest.</p>
  );
}
