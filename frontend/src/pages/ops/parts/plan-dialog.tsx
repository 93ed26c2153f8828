import { type ReactNode, useEffect, useRef, useState } from "react";
import type { Answer } from "../../../api/client";
import { type Problem, problemOf } from "../../../api/ops-client";
import { Dialog } from "./dialog";
import { actProblemText, problemText } from "./problem";

interface Props<Plan> {
  title: string;
  /** All that the plan depends on, as text: of another subject it must be made anew. */
  subject: string;
  /** Asks what would happen, or for it to happen. */
  ask: (dryRun: boolean) => Promise<Answer<Plan>>;
  /** Makes the plan when it opens, without being asked to. */
  isEager?: boolean;
  /** Inputs that say what is to be planned. */
  form?: ReactNode;
  /** What the button of that form says. */
  planText?: string;
  /** What is said above the plan. */
  planSaid?: string;
  showPlan: (plan: Plan) => ReactNode;
  /** What the button says that does it; nothing when there is nothing to do. */
  confirm: (plan: Plan) => string | undefined;
  showResult: (result: Plan) => ReactNode;
  /** Words for a refusal that are better than the service's. */
  explain?: (problem: Problem) => string | undefined;
  onDone: () => void;
  onClose: () => void;
}

/** Shows what would happen, always before the button that makes it happen. */
export function PlanDialog<Plan>(props: Props<Plan>) {
  const {
    title,
    form,
    planText = "Show the plan",
    planSaid = SAYS.plan,
    isEager = false,
    showPlan,
    showResult,
    confirm,
    explain,
    onClose,
  } = props;
  const { state, plan, go } = usePlan(props);
  const close = useRef<HTMLButtonElement>(null);
  const { step } = state;
  const isBusy = step === "planning" || step === "going";
  // With a plan, what failed is what was to be done.
  const textOf = state.plan === undefined ? problemText : actProblemText;
  const confirmText = step === "plan" && state.plan !== undefined ? confirm(state.plan) : undefined;

  useEffect(() => {
    // The button that had the focus is gone.
    if (step === "done") close.current?.focus();
  }, [step]);

  return (
    <Dialog title={title} onClose={onClose}>
      {step !== "done" && form !== undefined && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            plan();
          }}
        >
          {/* What is being done is no longer to be changed. */}
          <fieldset className="ops-form" disabled={step === "going"}>
            {form}
            <div className="ops-buttons">
              <button type="submit" className="button button-quiet" aria-busy={step === "planning"}>
                {planText}
              </button>
            </div>
          </fieldset>
        </form>
      )}
      <div role="status" className="ops-step">
        {step === "plan" ? planSaid : SAYS[step]}
      </div>
      <div role="alert" className="ops-fault">
        {state.problem !== undefined && (explain?.(state.problem) ?? textOf(state.problem))}
      </div>
      {state.plan !== undefined && (
        <div className="ops-plan" data-testid="plan" data-step={step}>
          {step === "done" ? showResult(state.plan) : showPlan(state.plan)}
        </div>
      )}
      <div className="ops-buttons">
        {(confirmText !== undefined || step === "going") && (
          <button type="button" className="button" aria-busy={step === "going"} onClick={go}>
            {step === "going" ? "Doing it…" : confirmText}
          </button>
        )}
        {form === undefined && isEager && state.problem !== undefined && !isBusy && (
          <button type="button" className="button button-quiet" onClick={plan}>
            Plan again
          </button>
        )}
        <button type="button" className="button button-quiet" ref={close} onClick={onClose}>
          {step === "done" || step === "going" ? "Close" : "Cancel"}
        </button>
      </div>
    </Dialog>
  );
}

type Step = "form" | "planning" | "plan" | "going" | "done";

const SAYS: Record<Step, string> = {
  form: "",
  planning: "Looking at what would happen…",
  plan: "This is what would happen. Nothing is done yet.",
  going: "Doing it. Closing this window does not stop it.",
  done: "Done.",
};

interface PlanState<Plan> {
  step: Step;
  subject: string;
  plan: Plan | undefined;
  problem: Problem | undefined;
}

function usePlan<Plan>({ subject, ask, isEager = false, onDone }: Props<Plan>) {
  const blank: PlanState<Plan> = { step: "form", subject, plan: undefined, problem: undefined };
  const [known, setKnown] = useState<PlanState<Plan>>(blank);
  // A plan for something else is none.
  const state = known.subject === subject ? known : blank;

  /** Takes an answer, unless something else is wanted by now. */
  const settle = (next: PlanState<Plan>) => setKnown((now) => (now.subject === next.subject ? next : now));

  const plan = async () => {
    if (state.step === "planning" || state.step === "going") return;
    setKnown({ ...blank, step: "planning" });
    const answer = await ask(true);
    if (answer.kind === "success") settle({ ...blank, step: "plan", plan: answer.data });
    else settle({ ...blank, problem: problemOf(answer) });
  };

  const go = async () => {
    if (state.step !== "plan") return;
    setKnown({ ...state, step: "going", problem: undefined });
    const answer = await ask(false);
    if (answer.kind === "success") settle({ ...blank, step: "done", plan: answer.data });
    else settle({ ...state, problem: problemOf(answer) });
    // Also after a refusal: part of it may have been done.
    onDone();
  };

  const planOnce = useRef(plan);
  useEffect(() => {
    if (isEager) void planOnce.current();
  }, [isEager]);

  return { state, plan: () => void plan(), go: () => void go() };
}
