/**
 * One attempt until its end (FE-8): the same key is sent again after a timeout, a broken connection or a 503,
 * because then nobody knows whether the unit was sold. The service gives the same key the same answer. It goes with
 * an answer to the challenge of the sale, if that has one; when the service refuses that, once more with a new one.
 */

import { type Attempt, type NotActiveReason, purchase, type Reply } from "../../../api/purchases";
import type { Receipt } from "../../../api/types";
import type { ChallengeAnswers, Hindrance } from "../challenge/answers";
import { backoffMs } from "../live/backoff";
import { pause } from "./pause";

export const TRIES_MAX = 6;
const RETRY_MS = 1_000;
/** However long the service asks to wait: nobody stays with a page that stands still for longer. */
const RETRY_AFTER_MAX_MS = 30_000;

export type Outcome =
  | { kind: "purchased" | "already-purchased"; receipt: Receipt }
  /** Theirs; `stalled` when the page has stopped waiting for the records. */
  | { kind: "pending"; receipt: Receipt; stalled: boolean }
  | { kind: "sold-out" }
  | { kind: "not-active"; reason: NotActiveReason }
  /** Nothing was decided; `until` is when to try again, in ms since 1970 by this device. */
  | { kind: "rate-limited"; until: number }
  | { kind: "invalid"; field: "user" | "request" }
  /** Nothing was decided: the challenge could not be answered, or no answer to it was good enough. */
  | { kind: "unproved"; because: Hindrance | "refused" }
  /** The service cannot decide now, and is being asked again. */
  | { kind: "busy" }
  /** No answer came to any try. */
  | { kind: "unknown" };

/** What to tell while there is no outcome yet: the next try, and why there is one. */
export interface Retry {
  nextTry: number;
  because: "busy" | "silence";
}

export interface SettleOptions {
  /** An earlier sending of this key may have been decided. */
  maybeDecided: boolean;
  onRetry(retry: Retry): void;
  answers: ChallengeAnswers;
  signal: AbortSignal;
}

/** Sends `attempt` until it is answered or six tries are over; none when `signal` ended it. */
export async function settle(attempt: Attempt, options: SettleOptions): Promise<Outcome | undefined> {
  const { onRetry, answers, signal } = options;
  let { maybeDecided } = options;
  let wasChallenged = false;
  for (let tries = 1; ; tries += 1) {
    const answered = await answers.get(attempt.user);
    if (signal.aborted) return undefined;
    if (answered.kind === "impossible") return unproved(answered.because, maybeDecided);
    const reply = await purchase(attempt, signal, answered.text);
    if (signal.aborted) return undefined;
    if (reply.kind === "challenged") {
      answers.demand(attempt.user, reply.challenge);
      if (wasChallenged) return unproved("refused", maybeDecided);
      wasChallenged = true;
      continue;
    }
    // Only of a first try it is certain that nothing of it was decided before. And who was challenged comes back at
    // once, not knowing that the refused try counts.
    const isFinal = reply.kind === "rate-limited" ? !maybeDecided && !wasChallenged : !isOpen(reply);
    if (isFinal) return outcomeOf(reply);
    if (reply.kind !== "rate-limited") maybeDecided = true;
    if (tries >= TRIES_MAX) return maybeDecided ? { kind: "unknown" } : outcomeOf(reply);
    onRetry({ nextTry: tries + 1, because: reply.kind === "silence" ? "silence" : "busy" });
    const wished = "retryAfterMs" in reply ? Math.min(reply.retryAfterMs, RETRY_AFTER_MAX_MS) : 0;
    await pause(Math.max(wished * (1 + Math.random() / 5), backoffMs(tries, RETRY_MS)), signal);
    if (signal.aborted) return undefined;
  }
}

/** Without an answer to the challenge nothing is decided, but an earlier sending may have been. */
function unproved(because: Hindrance | "refused", maybeDecided: boolean): Outcome {
  return maybeDecided ? { kind: "unknown" } : { kind: "unproved", because };
}

type Ended = Exclude<Reply, { kind: "challenged" }>;

function isOpen(reply: Reply): boolean {
  return reply.kind === "busy" || reply.kind === "silence";
}

function outcomeOf(reply: Ended): Outcome {
  switch (reply.kind) {
    case "purchased":
    case "already-purchased":
      return { kind: reply.kind, receipt: reply.receipt };
    case "pending":
      return { kind: "pending", receipt: reply.receipt, stalled: false };
    case "rate-limited":
      return { kind: "rate-limited", until: Date.now() + reply.retryAfterMs };
    case "busy":
    case "silence":
      return { kind: "unknown" };
    default:
      return reply;
  }
}

const RECORD_POLL_EVERY_MS = 2_000;
const RECORD_WAIT_MAX_MS = 120_000;

/**
 * Repeats a pending attempt until the log has it. The unit is theirs all the while, so nothing but a success is
 * of interest; `stalled` when two minutes were not enough.
 */
export async function awaitRecord(
  attempt: Attempt,
  answers: ChallengeAnswers,
  signal: AbortSignal,
): Promise<{ kind: "recorded"; receipt: Receipt } | { kind: "stalled" } | { kind: "disputed" } | undefined> {
  const end = Date.now() + RECORD_WAIT_MAX_MS;
  let text = answers.kept(attempt.user);
  while (Date.now() < end) {
    await pause(RECORD_POLL_EVERY_MS, signal);
    if (signal.aborted) return undefined;
    const reply = await purchase(attempt, signal, text);
    if (signal.aborted) return undefined;
    switch (reply.kind) {
      case "purchased":
      case "already-purchased":
        return { kind: "recorded", receipt: reply.receipt };
      case "pending":
      case "rate-limited":
      case "busy":
      case "silence":
        break;
      case "challenged": {
        // Who has bought is not to be shown a CAPTCHA for it.
        if (reply.challenge?.kind !== "PROOF_OF_WORK") return { kind: "stalled" };
        answers.demand(attempt.user, reply.challenge);
        const answered = await answers.get(attempt.user);
        if (signal.aborted) return undefined;
        text = answered.kind === "answered" ? answered.text : undefined;
        break;
      }
      default:
        // It is another sale by now, or none.
        return { kind: "disputed" };
    }
  }
  return { kind: "stalled" };
}
