import { type FormEvent, useRef, useState } from "react";
import { type Problem, problemOf } from "../../../api/ops-client";
import { createProduct } from "../../../api/ops-sales";
import type { NewProduct } from "../../../api/types";
import { fromInput, toInput } from "../format";
import { Dialog } from "../parts/dialog";
import { Field } from "../parts/field";
import { actProblemText, faultsOf } from "../parts/problem";
import { useWorkplace } from "../workplace";

const MINUTE_MS = 60_000;

interface Input {
  name: keyof NewProduct;
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

type Texts = Record<keyof NewProduct, string>;

/** Sets up a sale; what the service finds wrong is told beside the input. */
export function CreateDialog({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const { ops } = useWorkplace();
  const [texts, setTexts] = useState(fresh);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [created, setCreated] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  const faults = problem === undefined ? {} : faultsOfForm(problem);
  const isTold = INPUTS.some(({ name }) => name in faults);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setProblem(undefined);
    setCreated(undefined);
    const answer = await createProduct(ops, productOf(texts));
    setBusy(false);
    if (answer.kind === "success") {
      setCreated(answer.data.sku);
      setTexts(fresh());
      onDone();
      return;
    }
    const problem = problemOf(answer);
    setProblem(problem);
    const first = INPUTS.find(({ name }) => name in faultsOfForm(problem));
    if (first !== undefined) form.current?.querySelector<HTMLInputElement>(`[name=${first.name}]`)?.focus();
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
                value={texts[name]}
                onChange={(event) => setTexts({ ...texts, [name]: event.target.value })}
              />
            )}
          </Field>
        ))}
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

/** In five minutes, for an hour. */
function fresh(): Texts {
  const start = Math.ceil(Date.now() / MINUTE_MS + 5) * MINUTE_MS;
  const input = (ms: number) => toInput(new Date(ms).toISOString());
  return {
    sku: "",
    productName: "",
    initialStock: "100",
    startTime: input(start),
    endTime: input(start + 60 * MINUTE_MS),
  };
}

function productOf({ sku, productName, initialStock, startTime, endTime }: Texts): NewProduct {
  return {
    sku: sku.trim(),
    productName: productName.trim(),
    initialStock: Number(initialStock),
    startTime: fromInput(startTime),
    endTime: fromInput(endTime),
  };
}

/** A SKU that is taken belongs to its input too. */
function faultsOfForm(problem: Problem): Record<string, string> {
  if (problem.kind === "refusal" && problem.error.code === "ALREADY_EXISTS")
    return { sku: problem.error.message };
  return faultsOf(problem);
}
