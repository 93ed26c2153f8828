/** How long to wait before the next try, so that a crowd does not come back all at once. */

const BACKOFF_MAX_MS = 15_000;

/** Doubles from `baseMs` with each failure, at most 15 s; the upper half of that is left to chance. */
export function backoffMs(failures: number, baseMs: number): number {
  const full = Math.min(BACKOFF_MAX_MS, baseMs * 2 ** Math.max(0, failures - 1));
  return full * (0.5 + Math.random() / 2);
}

/** A while between `fromMs` and `toMs`. */
export function jitterMs(fromMs: number, toMs: number): number {
  return fromMs + Math.random() * (toMs - fromMs);
}
