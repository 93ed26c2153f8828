/** All sales, asked for every five seconds while somebody looks. */

import { readCatalogue } from "../../../api/sales";
import type { Sale } from "../../../api/types";
import { ServerClock } from "./server-clock";

export interface CatalogueState {
  /** None before the first answer. */
  sales: Sale[] | undefined;
  /** The last question got no answer; `sales` may be old. */
  failed: boolean;
}

const REFRESH_EVERY_MS = 5_000;

export class CatalogueFeed {
  readonly clock = new ServerClock();
  readonly #listeners = new Set<() => void>();
  #state: CatalogueState = { sales: undefined, failed: false };
  #life: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly getState = (): CatalogueState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    if (this.#life !== undefined) return;
    this.#life = new AbortController();
    const { signal } = this.#life;
    const again = () => {
      if (document.visibilityState === "visible") void this.#ask(signal);
    };
    document.addEventListener("visibilitychange", again, { signal });
    window.addEventListener("online", again, { signal });
    void this.#ask(signal);
  }

  /** Asks at once. */
  refresh(): void {
    if (this.#life !== undefined) void this.#ask(this.#life.signal);
  }

  stop(): void {
    this.#life?.abort();
    this.#life = undefined;
    clearTimeout(this.#timer);
  }

  async #ask(signal: AbortSignal): Promise<void> {
    clearTimeout(this.#timer);
    const answer = await readCatalogue(signal);
    if (signal.aborted) return;
    if (answer.kind === "success") {
      const { sales, serverTime } = answer.data;
      this.clock.takeAnswer(serverTime, answer.timing);
      this.#update({ sales, failed: false });
    } else {
      this.#update({ ...this.#state, failed: true });
    }
    clearTimeout(this.#timer);
    // A hidden page asks again when it is looked at.
    if (document.visibilityState === "hidden") return;
    this.#timer = setTimeout(() => void this.#ask(signal), REFRESH_EVERY_MS);
  }

  #update(state: CatalogueState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}
