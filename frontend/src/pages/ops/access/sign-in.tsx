import { type FormEvent, useEffect, useRef, useState } from "react";
import { type OpsAccess, OpsClient } from "../../../api/ops-client";
import { readOverview } from "../../../api/ops-overview";
import { Icon } from "../../../components/icon";
import { Field } from "../parts/field";
import type { KeyRing } from "./key-ring";

const OPERATOR_CHARS_MAX = 64;
/** Everything but control characters. */
const PRINTABLE = /^\P{Cc}*$/u;

interface Fault {
  field: "operator" | "key" | undefined;
  text: string;
}

interface Props {
  ring: KeyRing;
  /** The key that was here is not taken any more. */
  isRefused: boolean;
  /** Who acted last. */
  operator: string;
}

/** Asks for the admin key, tries it, and hands it over. */
export function SignIn({ ring, isRefused, operator: last }: Props) {
  const [operator, setOperator] = useState(last);
  const [key, setKey] = useState("");
  const [isKept, setKept] = useState(false);
  const { form, isBusy, fault, submit } = useTrial(isRefused ? REFUSED_LATER : undefined, (access) =>
    ring.take(access, isKept),
  );

  useEffect(() => {
    document.title = "Sign in – Flashsale console";
  }, []);

  return (
    <main className="ops-sign-in">
      <form
        ref={form}
        className="ops-card ops-form"
        noValidate
        onSubmit={(event) => submit(event, { key: key.trim(), operator: operator.trim() })}
      >
        <h1>
          <Icon name="bolt" />
          Operators’ console
        </h1>
        <Field
          label="Your name"
          hint="Written beside everything you do here."
          fault={fault?.field === "operator"}
        >
          {(props) => (
            <input
              {...props}
              name="operator"
              autoComplete="nickname"
              value={operator}
              onChange={(event) => setOperator(event.target.value)}
            />
          )}
        </Field>
        <Field label="Admin key" fault={fault?.field === "key"}>
          {(props) => (
            <input
              {...props}
              name="key"
              type="password"
              autoComplete="off"
              value={key}
              onChange={(event) => setKey(event.target.value)}
            />
          )}
        </Field>
        <label className="ops-check">
          <input type="checkbox" checked={isKept} onChange={(event) => setKept(event.target.checked)} />
          Keep until this tab closes
        </label>
        <p className="ops-fault" role="alert" data-testid="sign-in-fault">
          {fault?.text}
        </p>
        <button type="submit" className="button" aria-busy={isBusy}>
          {isBusy ? "Trying the key…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}

/** Tries what was entered, and moves the focus to what is wrong with it. */
function useTrial(first: Fault | undefined, onTaken: (access: OpsAccess) => void) {
  const [isBusy, setBusy] = useState(false);
  const [fault, setFault] = useState(first);
  const form = useRef<HTMLFormElement>(null);

  const fail = (fault: Fault) => {
    setFault(fault);
    form.current?.querySelector<HTMLInputElement>(`[name=${fault.field ?? "key"}]`)?.focus();
  };

  const submit = async (event: FormEvent, access: OpsAccess) => {
    event.preventDefault();
    if (isBusy) return;
    const missing = faultOf(access);
    if (missing !== undefined) return fail(missing);
    setBusy(true);
    setFault(undefined);
    const refusal = await tryOut(access);
    setBusy(false);
    if (refusal !== undefined) return fail(refusal);
    onTaken(access);
  };

  return { form, isBusy, fault, submit };
}

const REFUSED_LATER: Fault = {
  field: "key",
  text: "The service no longer takes this key. Enter the one that holds now.",
};

function faultOf({ key, operator }: OpsAccess): Fault | undefined {
  if (operator === "") return { field: "operator", text: "Enter your name first." };
  if ([...operator].length > OPERATOR_CHARS_MAX || !PRINTABLE.test(operator)) {
    return { field: "operator", text: `A name has at most ${OPERATOR_CHARS_MAX} printable characters.` };
  }
  return key === "" ? { field: "key", text: "Enter the admin key first." } : undefined;
}

/** What speaks against a key; nothing when the service takes it. */
async function tryOut(access: OpsAccess): Promise<Fault | undefined> {
  const answer = await readOverview(new OpsClient(access));
  if (answer.kind === "success") return undefined;
  if (answer.kind === "refusal" && answer.status === 401) {
    return { field: "key", text: "This is not the admin key." };
  }
  const said = answer.kind === "refusal" ? ` It says: ${answer.error.message}` : "";
  if (answer.kind === "refusal" && answer.status === 403) {
    return { field: undefined, text: `The service does not let you in, whatever the key.${said}` };
  }
  return {
    field: undefined,
    text: `The service cannot tell now whether the key is right. Try again in a moment.${said}`,
  };
}
