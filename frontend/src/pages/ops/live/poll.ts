/** One question over and over, while somebody looks. */

import type { Answer } from "../../../api/client";
import { type Problem, problemOf } from "../../../api/ops-client";

export interface PollState<T> {
  /** None before the first answer. */
  data: T | undefined;
  /** When `data` came, by this device's clock; ms since 1970. */
  at: number | undefined;
  /** The last question got no answer to use; `data` may be old. */
  problem: Problem | undefined;
}

type Ask<T> = (signal: AbortSignal) => Promise<Answer<T>>;

export class Poll<T> {
  readonly #ask: Ask<T>;
  readonly #everyMs: number;
  readonly #listeners = new Set<() => void>();
  #state: PollState<T> = { data: undefined, at: undefined, problem: undefined };
  #life: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isAsking = false;
  /** Somebody wants an answer that is newer than the question under way. */
  #isStale = false;

  constructor(ask: Ask<T>, everyMs: number) {
    this.#ask = ask;
    this.#everyMs = everyMs;
  }

  readonly getState = (): PollState<T> => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    if (this.#life !== undefined) return;
    this.#life = new AbortController();
    const { signal } = this.#life;
    const look = () => {
      clearTimeout(this.#timer);
      // A hidden page asks again when it is looked at.
      if (document.visibilityState === "visible" && !this.#isAsking) void this.#round(signal);
    };
    document.addEventListener("visibilitychange", look, { signal });
    window.addEventListener("online", look, { signal });
    void this.#round(signal);
  }

  /** Asks at once, or right after the question that is under way. */
  readonly refresh = (): void => {
    if (this.#life === undefined) return;
    if (this.#isAsking) this.#isStale = true;
    else void this.#round(this.#life.signal);
  };

  stop(): void {
    this.#life?.abort();
    this.#life = undefined;
    this.#isAsking = false;
    this.#isStale = false;
    clearTimeout(this.#timer);
  }

  async #round(signal: AbortSignal): Promise<void> {
    clearTimeout(this.#timer);
    this.#isAsking = true;
    do {
      this.#isStale = false;
      const answer = await this.#ask(signal);
      if (signal.aborted) return;
      this.#take(answer);
    } while (this.#isStale);
    this.#isAsking = false;
    if (document.visibilityState === "hidden") return;
    this.#timer = setTimeout(() => void this.#round(signal), this.#everyMs);
  }

  #take(answer: Answer<T>): void {
    this.#state =
      answer.kind === "success"
        ? { data: answer.data, at: answer.timing.receivedAt, problem: undefined }
        : { ...this.#state, problem: problemOf(answer) };
    for (const listener of this.#listeners) listener();
  }
}
