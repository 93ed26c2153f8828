/** Figures and moments as an operator reads them. Moments are in UTC, as in the logs. */

import { units } from "../../components/stock-meter";

export function count(value: number): string {
  return units(value);
}

/** "12.5 /s" */
export function rate(perSecond: number): string {
  // Not nothing, although it would be rounded to it.
  if (perSecond > 0 && perSecond < 0.05) return "< 0.1 /s";
  const digits = perSecond > 0 && perSecond < 10 ? 1 : 0;
  return `${units(Number(perSecond.toFixed(digits)))} /s`;
}

/** "0.4 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" */
export function span(seconds: number): string {
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** "12 ms", "1.5 s" */
export function milliseconds(value: number): string {
  return value < 1_000 ? `${Number(value.toFixed(value < 10 ? 1 : 0))} ms` : span(value / 1_000);
}

/** "2026-11-23 12:10:00" */
export function moment(iso: string): string {
  return new Date(iso).toISOString().slice(0, 19).replace("T", " ");
}

/** "12:10:00" */
export function clockTime(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().slice(11, 19);
}

/** A moment for an input of the type `datetime-local` that is labelled as UTC, as short as a browser writes it. */
export function toInput(iso: string): string {
  return Number.isNaN(Date.parse(iso)) ? "" : new Date(iso).toISOString().slice(0, 19).replace(/:00$/, "");
}

/** The moment in such an input; empty when there is none. */
export function fromInput(text: string): string {
  const date = new Date(`${text}Z`);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

/** Anything that came as JSON, in one line. */
export function asText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** "1 letter", "3 letters" */
export function plural(amount: number, one: string, many = `${one}s`): string {
  return `${units(amount)} ${amount === 1 ? one : many}`;
}
