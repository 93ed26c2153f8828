import { type ReactNode, useId } from "react";

/** What an input must have to belong to its label and its texts. */
export interface FieldProps {
  id: string;
  "aria-invalid"?: true;
  "aria-describedby"?: string;
}

interface Props {
  label: string;
  hint?: string;
  /** What is wrong with it; `true` when that is told elsewhere. */
  fault?: string | boolean | undefined;
  /** It takes the place of two, where several stand in a row. */
  isWide?: boolean;
  children: (props: FieldProps) => ReactNode;
}

/** A labelled input with a hint, or what is wrong, below it. */
export function Field({ label, hint, fault, isWide = false, children }: Props) {
  const [id, noteId] = [useId(), useId()];
  const isFaulty = fault !== undefined && fault !== false && fault !== "";
  const note = typeof fault === "string" && fault !== "" ? fault : hint;
  return (
    <div className={isWide ? "ops-field ops-wide" : "ops-field"}>
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        ...(isFaulty ? { "aria-invalid": true } : {}),
        ...(note === undefined ? {} : { "aria-describedby": noteId }),
      })}
      {note !== undefined && (
        <p id={noteId} className={note === hint ? "hint" : "ops-fault"}>
          {note}
        </p>
      )}
    </div>
  );
}
