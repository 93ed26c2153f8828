import type { Verdict } from "../../../api/ops-types";
import { moment } from "../format";

/** A figure, or that nobody knows it: never a zero for what is not known. */
export function Figure({ value, as }: { value: number | null | undefined; as: (value: number) => string }) {
  if (value === null || value === undefined) return <span className="ops-unknown">unknown</span>;
  return <>{as(value)}</>;
}

export function Moment({ iso }: { iso: string }) {
  return (
    <time className="ops-moment" dateTime={iso} title={iso}>
      {moment(iso)}
    </time>
  );
}

/** From what is fine to what needs somebody at once. */
const VERDICTS: Verdict[] = ["OK", "UNKNOWN", "WARN", "REWIND", "STALL", "STOP"];

export function severity(verdict: Verdict): number {
  return VERDICTS.indexOf(verdict);
}

const TONES = {
  OK: "good",
  UNKNOWN: "over",
  WARN: "wait",
  REWIND: "wait",
  STALL: "bad",
  STOP: "bad",
} as const satisfies Record<Verdict, Tone>;

export type Tone = "good" | "over" | "wait" | "bad" | "soon";

export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className="badge" data-tone={tone}>
      {children}
    </span>
  );
}

export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  return <Badge tone={TONES[verdict]}>{verdict}</Badge>;
}
