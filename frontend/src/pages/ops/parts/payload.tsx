import { asText } from "../format";

/** What a record says: decoded, or its bytes. */
export function Payload({
  value,
  hex,
  problem,
  schemaId,
}: {
  value: unknown;
  hex: string | null;
  problem: string | null;
  schemaId: number | null;
}) {
  return (
    <div className="ops-payload">
      {problem !== null && <p className="ops-fault">{problem}</p>}
      {schemaId !== null && <p className="hint">Schema {schemaId}</p>}
      {value !== null && value !== undefined ? (
        <Code label="Value" text={JSON.stringify(value, null, 2)} />
      ) : hex !== null ? (
        <Code label="Bytes in hexadecimal" text={grouped(hex)} />
      ) : (
        <p className="hint">No value: a tombstone.</p>
      )}
    </div>
  );
}

/** Text of a machine, which may be wide. It is no landmark, as a page may have hundreds. */
export function Code({ label, text }: { label: string; text: string }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for inputs
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be within reach of the keyboard
    <div className="ops-code" role="group" aria-label={label} tabIndex={0}>
      <pre>
        <code>{text}</code>
      </pre>
    </div>
  );
}

export function Headers({ headers }: { headers: Record<string, unknown> }) {
  const entries = Object.entries(headers);
  if (entries.length === 0) return <p className="hint">No headers.</p>;
  return (
    <dl className="ops-pairs">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{asText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Two digits a byte, 16 bytes a line. */
export function grouped(hex: string): string {
  const lines = hex.match(/.{1,32}/g) ?? [];
  return lines.map((line) => line.match(/.{1,2}/g)?.join(" ")).join("\n");
}
