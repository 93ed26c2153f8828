/** Moments as a person of this locale writes them. */

const toMinute = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

const exact = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "long",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

/** "Mon, Nov 23, 1:00 PM" */
export function momentToMinute(iso: string): string {
  return toMinute.format(new Date(iso));
}

/** With seconds and the zone, for receipts. */
export function exactMoment(iso: string): string {
  return exact.format(new Date(iso));
}
