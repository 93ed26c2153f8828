import { useState } from "react";
import { redrive } from "../../../api/ops-dead-letters";
import type { LetterSelection, RedrivePlan } from "../../../api/ops-types";
import { count, plural } from "../format";
import { PlanDialog } from "../parts/plan-dialog";
import { useWorkplace } from "../workplace";
import { LetterVerdicts, MoreLetters } from "./letter-verdicts";

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
    <PlanDialog<RedrivePlan>
      title={`Redrive ${what}`}
      subject={JSON.stringify(letters)}
      ask={(dryRun) => redrive(ops, letters, { dryRun, includeFailing: !dryRun && includesFailing })}
      isEager
      showPlan={(plan) => (
        <>
          <Counts result={plan} />
          <MoreLetters isMore={plan.more} amount={plan.letters.length} />
          <NothingToSend plan={plan} includesFailing={includesFailing} />
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
          <MoreLetters isMore={result.more} amount={result.letters.length} />
          <LetterVerdicts letters={result.letters} showsSent />
        </>
      )}
      onDone={onDone}
      onClose={onClose}
    />
  );
}

/** What the button says; nothing when no letter would go. */
export function confirmText(
  { wouldApply, wouldBeDuplicate, stillFailing }: RedrivePlan,
  includesFailing: boolean,
): string | undefined {
  const sent = wouldApply + wouldBeDuplicate + (includesFailing ? stillFailing : 0);
  return sent === 0 ? undefined : `Redrive ${plural(sent, "letter")}`;
}

function NothingToSend({ plan, includesFailing }: { plan: RedrivePlan; includesFailing: boolean }) {
  if (plan.stillFailing === 0 || confirmText(plan, includesFailing) !== undefined) return null;
  return <p>None would be sent, as all of them would come back. Mend the cause first, or discard them.</p>;
}

function Counts({ result }: { result: RedrivePlan }) {
  const { wouldApply, wouldBeDuplicate, stillFailing, notOpen } = result;
  const counts: [string, number][] = [
    ["Would be applied", wouldApply],
    ["Would be duplicates", wouldBeDuplicate],
    ["Still fail", stillFailing],
    ["Not open, or unknown", notOpen],
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
