/** Asks for the status of a sale: over and over while nothing else tells it, or once. */

import type { Timing } from "../../../api/client";
import { readSale, saysNoSuchSale } from "../../../api/sales";
import type { Sale } from "../../../api/types";

export interface PollHandlers {
  onSale(sale: Sale, timing: Timing): void;
  onMissing(): void;
  /** Whether the service could be reached, after every question. */
  onReachable(reachable: boolean): void;
}

/** However long the service asks to wait: nobody stays with a page that stands still for longer. */
const RETRY_AFTER_MAX_MS = 30_000;

/** Asks no more while the page is hidden; `askNow` when it is back. */
export class StatusPoller {
  readonly #sku: string;
  readonly #handlers: PollHandlers;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #everyMs: number | undefined;
  #question: AbortController | undefined;
  #etag: string | undefined;

  constructor(sku: string, handlers: PollHandlers) {
    this.#sku = sku;
    this.#handlers = handlers;
  }

  get isRunning(): boolean {
    return this.#everyMs !== undefined;
  }

  /** Asks at once and then every `everyMs`. */
  start(everyMs: number): void {
    const wasRunning = this.isRunning;
    this.#everyMs = everyMs;
    if (!wasRunning) void this.#ask();
  }

  stop(): void {
    this.#everyMs = undefined;
    clearTimeout(this.#timer);
    this.#question?.abort();
    this.#question = undefined;
  }

  /** One question at once; `whole` wants an answer with a time in it also when nothing changed. */
  askNow(whole: boolean): void {
    if (whole) this.#etag = undefined;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    if (document.visibilityState === "hidden") return;
    this.#question?.abort();
    const question = new AbortController();
    this.#question = question;
    const askedAt = Date.now();
    const answer = await readSale(this.#sku, this.#etag, question.signal);
    if (question.signal.aborted) return;
    this.#question = undefined;
    let waitMs = 0;
    switch (answer.kind) {
      case "success":
        this.#etag = answer.etag;
        this.#handlers.onReachable(true);
        this.#handlers.onSale(answer.data, answer.timing);
        break;
      case "unchanged":
        this.#handlers.onReachable(true);
        break;
      case "refusal":
        if (saysNoSuchSale(answer.status, answer.error.code)) this.#handlers.onMissing();
        // Too many questions are a reason to slow down, not a lost connection.
        else this.#handlers.onReachable(answer.status === 429);
        waitMs = Math.min(answer.retryAfterMs ?? 0, RETRY_AFTER_MAX_MS);
        break;
      case "silence":
        this.#handlers.onReachable(false);
    }
    if (this.#everyMs === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), Math.max(waitMs, askedAt + this.#everyMs - Date.now()));
  }
}
