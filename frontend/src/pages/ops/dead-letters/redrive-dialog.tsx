import { useState } from "react";
import { redrive } from "../../../api/ops-dead-letters";
import type { LetterSelection, RedriveLetter, RedriveResult, RedriveVerdict } from "../../../api/ops-types";
import { count, plural } from "../format";
import { type Column, DataTable } from "../parts/data-table";
import { Badge, type Tone } from "../parts/figures";
import { PlanDialog } from "../parts/plan-dialog";
import { useWorkplace } from "../workplace";

interface Props {
  letters: LetterSelection;
  what: string;
  onDone: () => void;
  onClose: () => void;
}

/** Sends letters to their consumer again: first what each would come to, then the button that does it. */
export function RedriveDialog({ letters, what, onDone, onClose }: Props) {
  const { ops } = useWorkplace();
  const [includesFailing, setIncludesFailing] = useState(false);
  return (
    <PlanDialog<RedriveResult>
      title={`Redrive ${what}`}
      subject={JSON.stringify(letters)}
      ask={(dryRun) => redrive(ops, letters, { dryRun, includeFailing: !dryRun && includesFailing })}
      isEager
      showPlan={(plan) => (
        <>
          <Counts result={plan} />
          {plan.stillFailing > 0 && (
            <label className="ops-check">
              <input
                type="checkbox"
                checked={includesFailing}
                onChange={(event) => setIncludesFailing(event.target.checked)}
              />
              Also send those that still fail: they come back as letters with one attempt more
            </label>
          )}
          <LetterVerdicts letters={plan.letters} />
        </>
      )}
      confirm={(plan) => confirmText(plan, includesFailing)}
      showResult={(result) => (
        <>
          <p>{plural(result.sent, "letter")} sent again.</p>
          <LetterVerdicts letters={result.letters} />
        </>
      )}
      onDone={onDone}
      onClose={onClose}
    />
  );
}

/** What the button says; nothing when no letter would go. */
export function confirmText(
  { wouldApply, wouldBeDuplicate, stillFailing }: RedriveResult,
  includesFailing: boolean,
): string | undefined {
  const sent = wouldApply + wouldBeDuplicate + (includesFailing ? stillFailing : 0);
  return sent === 0 ? undefined : `Redrive ${plural(sent, "letter")}`;
}

function Counts({ result }: { result: RedriveResult }) {
  const { wouldApply, wouldBeDuplicate, stillFailing, notOpen } = result;
  const counts: [string, number][] = [
    ["Would be applied", wouldApply],
    ["Would be duplicates", wouldBeDuplicate],
    ["Still fail", stillFailing],
    ["Not open", notOpen],
  ];
  return (
    <dl className="ops-pairs ops-counts">
      {counts.map(([name, amount]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{count(amount)}</dd>
        </div>
      ))}
    </dl>
  );
}

const VERDICTS: Record<RedriveVerdict, [text: string, tone: Tone]> = {
  WOULD_APPLY: ["would be applied", "good"],
  WOULD_BE_DUPLICATE: ["a duplicate", "over"],
  STILL_FAILING: ["still fails", "bad"],
  NOT_OPEN: ["not open", "over"],
  UNKNOWN_LETTER: ["no such letter", "wait"],
};

const COLUMNS: Column<RedriveLetter>[] = [
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
  { id: "sent", title: "Sent", cell: ({ sent }) => (sent ? "yes" : "no") },
];

function LetterVerdicts({ letters }: { letters: RedriveLetter[] }) {
  return (
    <DataTable
      caption="What each letter comes to"
      columns={COLUMNS}
      rows={letters}
      keyOf={({ id }) => id}
      empty="No letter is concerned."
    />
  );
}
