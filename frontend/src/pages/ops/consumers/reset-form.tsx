import type { ResetRequest } from "../../../api/ops-types";
import { fromInput } from "../format";
import { Field } from "../parts/field";

/** What is in the inputs, as text. */
export interface ResetForm {
  to: ResetRequest["to"];
  offset: string;
  /** As in an input of the type `datetime-local`, in UTC. */
  time: string;
  group: string;
  topic: string;
  /** Numbers between commas; empty: all. */
  partitions: string;
}

const TARGETS: [ResetRequest["to"], string][] = [
  ["earliest", "The first record there is"],
  ["latest", "The end: only what comes from now on"],
  ["offset", "An offset"],
  ["time", "A moment"],
  ["group", "Where another group is"],
];

/** What the service is asked for; only what belongs to the target. */
export function requestOf({ to, offset, time, group, topic, partitions }: ResetForm): ResetRequest {
  const numbers = partitions
    .split(/[\s,]+/)
    .filter((text) => text !== "")
    .map(Number);
  return {
    to,
    ...(to === "offset" ? { offset: Number(offset) } : {}),
    ...(to === "time" ? { time: fromInput(time) } : {}),
    ...(to === "group" ? { group: group.trim() } : {}),
    ...(topic === "" ? {} : { topic }),
    ...(numbers.length === 0 ? {} : { partitions: numbers }),
  };
}

export function ResetInputs({
  form,
  topics,
  onChange,
}: {
  form: ResetForm;
  topics: string[];
  onChange: (form: ResetForm) => void;
}) {
  const { to, topic, partitions } = form;
  return (
    <>
      <Field label="Go to">
        {(props) => (
          <select
            {...props}
            value={to}
            onChange={(event) => onChange({ ...form, to: targetOf(event.target.value) })}
          >
            {TARGETS.map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        )}
      </Field>
      <TargetInput form={form} onChange={onChange} />
      {topics.length > 1 && (
        <Field label="Topic">
          {(props) => (
            <select
              {...props}
              value={topic}
              onChange={(event) => onChange({ ...form, topic: event.target.value })}
            >
              <option value="">All</option>
              {topics.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          )}
        </Field>
      )}
      <Field label="Partitions" hint="Numbers between commas; empty: all.">
        {(props) => (
          <input
            {...props}
            inputMode="numeric"
            pattern="[0-9, ]*"
            value={partitions}
            onChange={(event) => onChange({ ...form, partitions: event.target.value })}
          />
        )}
      </Field>
    </>
  );
}

function targetOf(name: string): ResetRequest["to"] {
  return TARGETS.find(([known]) => known === name)?.[0] ?? "earliest";
}

function TargetInput({ form, onChange }: { form: ResetForm; onChange: (form: ResetForm) => void }) {
  switch (form.to) {
    case "offset":
      return (
        <Field label="Offset">
          {(props) => (
            <input
              {...props}
              type="number"
              min={0}
              step={1}
              required
              value={form.offset}
              onChange={(event) => onChange({ ...form, offset: event.target.value })}
            />
          )}
        </Field>
      );
    case "time":
      return (
        <Field label="Moment (UTC)" hint="The first record that is not older.">
          {(props) => (
            <input
              {...props}
              type="datetime-local"
              step={1}
              required
              value={form.time}
              onChange={(event) => onChange({ ...form, time: event.target.value })}
            />
          )}
        </Field>
      );
    case "group":
      return (
        <Field label="Group">
          {(props) => (
            <input
              {...props}
              required
              value={form.group}
              onChange={(event) => onChange({ ...form, group: event.target.value })}
            />
          )}
        </Field>
      );
    default:
      return null;
  }
}
