import { useState } from "react";
import { discard } from "../../../api/ops-dead-letters";
import type { DiscardPlan, LetterSelection } from "../../../api/ops-types";
import { plural } from "../format";
import { Field } from "../parts/field";
import { PlanDialog } from "../parts/plan-dialog";
import { useWorkplace } from "../workplace";
import { LetterVerdicts, MoreLetters } from "./letter-verdicts";

const REASON_CHARS_MAX = 500;

interface Props {
  letters: LetterSelection;
  what: string;
  onDone: () => void;
  onClose: () => void;
}

/** Gives letters up, with a reason: first which, then the button that does it. */
export function DiscardDialog({ letters, what, onDone, onClose }: Props) {
  const { ops } = useWorkplace();
  const [text, setText] = useState("");
  const reason = text.trim();
  return (
    <PlanDialog<DiscardPlan>
      title={`Discard ${what}`}
      subject={JSON.stringify([letters, reason])}
      ask={(dryRun) => discard(ops, letters, { dryRun, reason })}
      form={
        <Field label="Reason" hint="Kept beside each letter, and in the acts.">
          {(props) => (
            <input
              {...props}
              required
              pattern=".*\S.*"
              maxLength={REASON_CHARS_MAX}
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
          )}
        </Field>
      }
      showPlan={({ letters, more }) => (
        <>
          <p>{plural(countOf(letters), "letter")} would be discarded.</p>
          <MoreLetters isMore={more} amount={letters.length} />
          <Exceptions letters={letters} />
        </>
      )}
      confirm={({ letters }) =>
        countOf(letters) === 0 ? undefined : `Discard ${plural(countOf(letters), "letter")}`
      }
      showResult={({ discarded, letters, more }) => (
        <>
          <p>{plural(discarded, "letter")} discarded.</p>
          <MoreLetters isMore={more} amount={letters.length} />
        </>
      )}
      onDone={onDone}
      onClose={onClose}
    />
  );
}

function countOf(letters: DiscardPlan["letters"]): number {
  return letters.filter(({ verdict }) => verdict === "WOULD_DISCARD").length;
}

/** Those that would not be, and why. */
function Exceptions({ letters }: { letters: DiscardPlan["letters"] }) {
  const others = letters.filter(({ verdict }) => verdict !== "WOULD_DISCARD");
  return others.length === 0 ? null : <LetterVerdicts letters={others} />;
}
