import { useEffect, useReducer } from "react";
import { asClock, inWords, type Remaining, remaining, twoDigits } from "./remaining";

interface Clock {
  now(): number;
}

interface Props {
  /** Its accessible label begins with this. */
  label: "Starts in" | "Ends in";
  /** In ms since 1970. */
  target: number;
  clock: Clock;
}

/** FE-1, FE-9: counts down by `clock`; read on demand and not announced each second. */
export function Countdown({ label, target, clock }: Props) {
  const left = useRemaining(target, clock);
  const units: [string, string][] = [
    [twoDigits(left.hours), "hours"],
    [twoDigits(left.minutes), "min"],
    [twoDigits(left.seconds), "sec"],
  ];
  if (left.days > 0) units.unshift([String(left.days), left.days === 1 ? "day" : "days"]);
  return (
    <div className="countdown" role="timer" aria-live="off" aria-label={`${label} ${inWords(left)}`}>
      <span className="countdown-label" aria-hidden="true">
        {label}
      </span>
      <span className="countdown-units" aria-hidden="true">
        {units.map(([count, unit]) => (
          <span className="countdown-unit" key={unit}>
            <b>{count}</b>
            <small>{unit}</small>
          </span>
        ))}
      </span>
    </div>
  );
}

/** The same in one short line, for cards. */
export function ShortCountdown({ label, target, clock }: Props) {
  const left = useRemaining(target, clock);
  return (
    <span className="short-countdown" role="timer" aria-live="off" aria-label={`${label} ${inWords(left)}`}>
      <span aria-hidden="true">
        {label} <b>{asClock(left)}</b>
      </span>
    </span>
  );
}

function useRemaining(target: number, clock: Clock): Remaining {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  const now = clock.now();
  const left = target - now;
  useEffect(() => {
    if (left <= 0) return;
    // To where the figure changes next, and a little further, because timers may come a moment early.
    const timer = setTimeout(tick, (left % 1000 || 1000) + 5);
    return () => clearTimeout(timer);
  });
  return remaining(target, now);
}
