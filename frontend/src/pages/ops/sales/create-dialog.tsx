import { type FormEvent, useRef, useState } from "react";
import { type Problem, problemOf } from "../../../api/ops-client";
import { createProduct } from "../../../api/ops-sales";
import { isChallengeKind } from "../../../api/sales";
import type { ChallengeKind, NewProduct } from "../../../api/types";
import { fromInput, toInput } from "../format";
import { Dialog } from "../parts/dialog";
import { Field } from "../parts/field";
import { actProblemText, faultsOf } from "../parts/problem";
import { useWorkplace } from "../workplace";
import { CHALLENGES } from "./challenges";

const MINUTE_MS = 60_000;

interface Input {
  name: Exclude<keyof NewProduct, "challenge">;
  label: string;
  hint?: string;
  type: "text" | "number" | "datetime-local";
}

const INPUTS: Input[] = [
  { name: "sku", label: "SKU", hint: "Letters, digits and hyphens.", type: "text" },
  { name: "productName", label: "Name", type: "text" },
  { name: "initialStock", label: "Units for sale", type: "number" },
  {
    name: "startTime",
    label: "Start (UTC)",
    hint: "A start in the past opens it at once.",
    type: "datetime-local",
  },
  { name: "endTime", label: "End (UTC)", type: "datetime-local" },
];

/** All fields, from top to bottom. */
const NAMES: (keyof NewProduct)[] = [...INPUTS.map(({ name }) => name), "challenge"];

interface Entered extends Record<Input["name"], string> {
  challenge: ChallengeKind;
}

/** Sets up a sale; what the service finds wrong is told beside the input. */
export function CreateDialog({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const { ops } = useWorkplace();
  const [entered, setEntered] = useState(fresh);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [created, setCreated] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  const faults = problem === undefined ? {} : faultsOfForm(problem);
  const isTold = NAMES.some((name) => name in faults);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setProblem(undefined);
    setCreated(undefined);
    const answer = await createProduct(ops, productOf(entered));
    setBusy(false);
    if (answer.kind === "success") {
      setCreated(answer.data.sku);
      setEntered(fresh());
      onDone();
      return;
    }
    const problem = problemOf(answer);
    setProblem(problem);
    const first = NAMES.find((name) => name in faultsOfForm(problem));
    if (first !== undefined) form.current?.querySelector<HTMLElement>(`[name=${first}]`)?.focus();
  };

  return (
    <Dialog title="Create a sale" onClose={onClose}>
      <form ref={form} className="ops-form" onSubmit={submit} noValidate>
        {INPUTS.map(({ name, label, hint, type }) => (
          <Field key={name} label={label} fault={faults[name]} {...(hint === undefined ? {} : { hint })}>
            {(props) => (
              <input
                {...props}
                name={name}
                type={type}
                {...(type === "text" ? {} : { step: 1 })}
                autoComplete="off"
                value={entered[name]}
                onChange={(event) => setEntered({ ...entered, [name]: event.target.value })}
              />
            )}
          </Field>
        ))}
        <ChallengeField
          value={entered.challenge}
          fault={faults.challenge}
          onChange={(challenge) => setEntered({ ...entered, challenge })}
        />
        <p role="alert" className="ops-fault">
          {problem !== undefined && !isTold && actProblemText(problem)}
        </p>
        <p role="status" className="ops-step">
          {created !== undefined && `${created} is set up. You can create another, or close this.`}
        </p>
        <div className="ops-buttons">
          <button type="submit" className="button" aria-busy={isBusy}>
            {isBusy ? "Creating…" : "Create"}
          </button>
          <button type="button" className="button button-quiet" onClick={onClose}>
            {created === undefined ? "Cancel" : "Close"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function ChallengeField({
  value,
  fault,
  onChange,
}: {
  value: ChallengeKind;
  fault: string | undefined;
  onChange: (value: ChallengeKind) => void;
}) {
  return (
    <Field
      label="Challenge"
      hint="What each try to buy costs, against bots. It cannot be changed after the start."
      fault={fault}
    >
      {(props) => (
        <select
          {...props}
          name="challenge"
          value={value}
          onChange={({ target }) => isChallengeKind(target.value) && onChange(target.value)}
        >
          {Object.entries(CHALLENGES).map(([kind, name]) => (
            <option key={kind} value={kind}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** In five minutes, for an hour, for whoever comes. */
function fresh(): Entered {
  const start = Math.ceil(Date.now() / MINUTE_MS + 5) * MINUTE_MS;
  const input = (ms: number) => toInput(new Date(ms).toISOString());
  return {
    sku: "",
    productName: "",
    initialStock: "100",
    startTime: input(start),
    endTime: input(start + 60 * MINUTE_MS),
    challenge: "NONE",
  };
}

function productOf({ sku, productName, initialStock, startTime, endTime, challenge }: Entered): NewProduct {
  return {
    sku: sku.trim(),
    productName: productName.trim(),
    initialStock: Number(initialStock),
    startTime: fromInput(startTime),
    endTime: fromInput(endTime),
    challenge,
  };
}

/** A SKU that is taken belongs to its input too. */
function faultsOfForm(problem: Problem): Record<string, string> {
  if (problem.kind === "refusal" && problem.error.code === "ALREADY_EXISTS")
    return { sku: problem.error.message };
  return faultsOf(problem);
}
