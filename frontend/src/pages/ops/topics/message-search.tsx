import { useState } from "react";
import { fromInput, toInput } from "../format";
import { Field } from "../parts/field";
import { FILTERS, LIMITS, type MessageForm, type Start } from "./message-query";

const STARTS: [Start, string][] = [
  ["newest", "The newest"],
  ["offset", "An offset"],
  ["time", "A moment"],
];

const FILTER_TEXTS: Record<(typeof FILTERS)[number], [label: string, hint?: string]> = {
  partition: ["Partition"],
  key: ["Key", "a part of it"],
  sku: ["SKU"],
  user: ["Shopper"],
  outcome: ["Outcome", "such as ACCEPTED"],
  header: ["Header", "name=value"],
};

/** From where to read, and what to leave out. */
export function MessageSearch({
  form: asked,
  onSearch,
}: {
  form: MessageForm;
  onSearch: (form: MessageForm) => void;
}) {
  const [form, setForm] = useState(asked);
  const [known, setKnown] = useState(asked);
  if (known !== asked) {
    // The address has changed: back and forward bring back what was asked then.
    setKnown(asked);
    setForm(asked);
  }
  return (
    <form
      className="ops-card ops-search"
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(form);
      }}
    >
      <StartInputs form={form} onChange={setForm} />
      {FILTERS.map((name) => {
        const [label, hint] = FILTER_TEXTS[name];
        const value = form.filters[name];
        return (
          <Field key={name} label={label} {...(hint === undefined ? {} : { hint })}>
            {(props) => (
              <input
                {...props}
                value={value}
                autoComplete="off"
                onChange={(event) =>
                  setForm({ ...form, filters: { ...form.filters, [name]: event.target.value } })
                }
              />
            )}
          </Field>
        );
      })}
      <Field label="At most">
        {(props) => (
          <select
            {...props}
            value={form.limit}
            onChange={(event) => setForm({ ...form, limit: event.target.value })}
          >
            {LIMITS.map((limit) => (
              <option key={limit}>{limit}</option>
            ))}
          </select>
        )}
      </Field>
      <div className="ops-buttons">
        <button type="submit" className="button">
          Read
        </button>
      </div>
    </form>
  );
}

function StartInputs({ form, onChange }: { form: MessageForm; onChange: (form: MessageForm) => void }) {
  return (
    <>
      <Field label="From">
        {(props) => (
          <select
            {...props}
            value={form.from}
            onChange={(event) => {
              const from = STARTS.find(([name]) => name === event.target.value)?.[0] ?? "newest";
              onChange({ ...form, from });
            }}
          >
            {STARTS.map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        )}
      </Field>
      {form.from === "offset" && (
        <Field label="Offset">
          {(props) => (
            <input
              {...props}
              type="number"
              min={0}
              required
              value={form.offset}
              onChange={(event) => onChange({ ...form, offset: event.target.value })}
            />
          )}
        </Field>
      )}
      {form.from === "time" && (
        <Field label="Moment (UTC)" isWide>
          {(props) => (
            <input
              {...props}
              type="datetime-local"
              step={1}
              required
              value={toInput(form.time)}
              onChange={(event) => onChange({ ...form, time: fromInput(event.target.value) })}
            />
          )}
        </Field>
      )}
    </>
  );
}
