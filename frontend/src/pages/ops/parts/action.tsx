import { useRef, useState } from "react";
import type { Answer } from "../../../api/client";
import { problemOf } from "../../../api/ops-client";
import { actProblemText } from "./problem";

export interface Action {
  /** The name of what is under way. */
  busy: string | undefined;
  said: { isGood: boolean; text: string } | undefined;
  /** Does one thing at a time, and says what came of it. */
  run: <T>(name: string, ask: () => Promise<Answer<T>>, tell: (data: T) => string) => Promise<void>;
}

export function useAction(onDone: () => void): Action {
  const [busy, setBusy] = useState<string>();
  const [said, setSaid] = useState<Action["said"]>();
  const isBusy = useRef(false);

  const run: Action["run"] = async (name, ask, tell) => {
    if (isBusy.current) return;
    isBusy.current = true;
    setBusy(name);
    setSaid(undefined);
    const answer = await ask();
    isBusy.current = false;
    setBusy(undefined);
    if (answer.kind === "success") setSaid({ isGood: true, text: tell(answer.data) });
    else setSaid({ isGood: false, text: actProblemText(problemOf(answer)) });
    onDone();
  };
  return { busy, said, run };
}

/** Both regions are always there: one that comes together with its text is not announced everywhere. */
export function ActionSaid({ action: { said } }: { action: Action }) {
  return (
    <div className="ops-said">
      <p role="status" data-tone="good">
        {said?.isGood === true && said.text}
      </p>
      <p role="alert" data-tone="bad">
        {said?.isGood === false && said.text}
      </p>
    </div>
  );
}
