/** How long it is until a moment, in the units of a countdown. */
export interface Remaining {
  days: number;
  hours: number;
  minutes: number;
  seconds: number;
}

/** From `now` to `target`, both in ms; a second that has begun counts whole, so that zero is the moment itself. */
export function remaining(target: number, now: number): Remaining {
  const total = Math.max(0, Math.ceil((target - now) / 1000));
  return {
    days: Math.floor(total / 86_400),
    hours: Math.floor(total / 3_600) % 24,
    minutes: Math.floor(total / 60) % 60,
    seconds: total % 60,
  };
}

/** In words: the two largest units that matter, such as "2 hours 5 minutes". */
export function inWords(left: Remaining): string {
  const units: [number, string][] = [
    [left.days, "day"],
    [left.hours, "hour"],
    [left.minutes, "minute"],
    [left.seconds, "second"],
  ];
  const first = units.findIndex(([count]) => count > 0);
  if (first === -1) return "0 seconds";
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`)
    .join(" ");
}

/** As on a clock: "2 d 03:04:05", without the days when there are none. */
export function asClock({ days, hours, minutes, seconds }: Remaining): string {
  const clock = [hours, minutes, seconds].map(twoDigits).join(":");
  return days > 0 ? `${days} d ${clock}` : clock;
}

export function twoDigits(count: number): string {
  return String(count).padStart(2, "0");
}
