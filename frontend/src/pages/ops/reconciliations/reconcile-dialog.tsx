import { useState } from "react";
import { reconcile } from "../../../api/ops-reconciliations";
import type { Reconciliations } from "../../../api/ops-types";
import { count, plural } from "../format";
import { Field } from "../parts/field";
import { PlanDialog } from "../parts/plan-dialog";
import { useWorkplace } from "../workplace";
import { ReconciliationTable } from "./reconciliations-view";

/** Compares now; what differs can then be repaired. */
export function ReconcileDialog({
  sku: asked,
  onDone,
  onClose,
}: {
  sku: string;
  onDone: () => void;
  onClose: () => void;
}) {
  const { ops } = useWorkplace();
  const [text, setText] = useState(asked);
  const sku = text.trim();
  const compare = async (dryRun: boolean) => {
    const answer = await reconcile(ops, {
      ...(sku === "" ? {} : { sku }),
      mode: dryRun ? "DRY_RUN" : "REPAIR",
    });
    // A comparison is itself a line in the list.
    if (dryRun) onDone();
    return answer;
  };
  return (
    <PlanDialog<Reconciliations>
      title="Compare the stores"
      subject={sku}
      ask={compare}
      form={
        <Field label="SKU" hint="Empty: every sale. It may take half a minute.">
          {(props) => <input {...props} value={text} onChange={(event) => setText(event.target.value)} />}
        </Field>
      }
      planText="Compare, change nothing"
      planSaid="This is what was found. Nothing is changed yet."
      showPlan={({ reconciliations }) => (
        <>
          {reconciliations.length > 0 && <p>{found(reconciliations)}</p>}
          {leftOf(reconciliations) > 0 && (
            <p className="ops-warning">
              A repair of Redis closes the fence: nobody can buy for some seconds. What a person must decide
              is left as it is.
            </p>
          )}
          <ReconciliationTable rows={reconciliations} empty={NONE} />
        </>
      )}
      confirm={({ reconciliations }) => {
        const left = leftOf(reconciliations);
        return left === 0 ? undefined : `Repair up to ${plural(left, "difference")}`;
      }}
      showResult={({ reconciliations }) => (
        <>
          <p>
            {plural(sum(reconciliations.map(({ repaired }) => repaired)), "difference")} repaired,{" "}
            {leftOf(reconciliations)} left.
          </p>
          <ReconciliationTable rows={reconciliations} empty={NONE} />
        </>
      )}
      onDone={onDone}
      onClose={onClose}
    />
  );
}

const NONE = "No sale was compared: there is none.";

function found(reconciliations: Reconciliations["reconciliations"]): string {
  const compared = plural(sum(reconciliations.map(({ compared }) => compared)), "unit");
  const left = leftOf(reconciliations);
  return left === 0 ? `${compared} compared; nothing differs.` : `${compared} compared; ${differ(left)}.`;
}

function differ(left: number): string {
  return left === 1 ? "1 differs" : `${count(left)} differ`;
}

function leftOf(reconciliations: Reconciliations["reconciliations"]): number {
  return sum(reconciliations.map(({ found, repaired }) => found - repaired));
}

function sum(amounts: number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}
