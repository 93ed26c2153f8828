/**
 * One sale, live (FE-2, FE-7): the event stream first; while it is away, the status every two seconds; when it
 * is back, the stream again.
 *
 *   connecting ──stream open──▶ live ──ended──▶ connecting (3 s without a word)
 *       └──failed, or 3 s over──▶ polling ⇄ offline ──stream open──▶ live
 */

import type { Timing } from "../../../api/client";
import { followSale, type SaleEvent, type StreamEnd } from "../../../api/sale-events";
import { saysNoSuchSale } from "../../../api/sales";
import type { Sale } from "../../../api/types";
import { backoffMs, jitterMs } from "./backoff";
import { isSameSale, mergeChange, mergeStatus } from "./sale-merge";
import { ServerClock } from "./server-clock";
import { StatusPoller } from "./status-poller";

export type Connection = "connecting" | "live" | "polling" | "offline";

export interface FeedState {
  connection: Connection;
  /** None before anything was heard, and when there is no such sale. */
  sale: Sale | undefined;
  /** The service says that there is no such sale. */
  missing: boolean;
}

const POLL_EVERY_MS = 2_000;
/** How often to look whether a sale that does not exist has come to be. */
const MISSING_POLL_EVERY_MS = 3_000;
/** How long the stream may be away before the page polls and says so. */
const GRACE_MS = 3_000;
/** A stream that ends normally is opened again within this. */
const REOPEN_WITHIN_MS = 1_000;
/** The second stream that lives shorter counts as a failure, or those that end at once would be opened without pause. */
const STREAM_LIFE_MIN_MS = 5_000;
const RETRY_MS = 1_000;
/** However long the service wishes: nobody stays with a page that stands still for longer. */
const RETRY_MAX_MS = 15_000;
/** Longest delay that a timer of a browser takes. */
const TIMER_MAX_MS = 2 ** 31 - 1;

type Timer = ReturnType<typeof setTimeout> | undefined;

export class SaleFeed {
  readonly clock = new ServerClock();
  readonly #sku: string;
  readonly #poller: StatusPoller;
  readonly #listeners = new Set<() => void>();
  #state: FeedState = { connection: "connecting", sale: undefined, missing: false };

  /** From `start` to `stop`. */
  #life: AbortController | undefined;
  #stream: AbortController | undefined;
  #openedAt: number | undefined;
  #lastEventId: string | undefined;
  #lastEventAt = 0;
  #afterReset = false;
  #failures = 0;
  /** What the service wishes. */
  #retryMs = 0;
  #reconnectTimer: Timer;
  #graceTimer: Timer;
  #turn: number | undefined;
  #turnTimer: Timer;

  constructor(sku: string) {
    this.#sku = sku;
    this.#poller = new StatusPoller(sku, {
      onSale: (sale, timing) => this.#takePolled(sale, timing),
      onMissing: () => this.#setMissing(),
      onReachable: (reachable) => {
        if (this.#poller.isRunning && !this.#state.missing) {
          this.#update({ connection: reachable ? "polling" : "offline" });
        }
      },
    });
  }

  readonly getState = (): FeedState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    if (this.#life !== undefined) return;
    this.#life = new AbortController();
    const { signal } = this.#life;
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), { signal });
    window.addEventListener("online", () => this.#catchUp(), { signal });
    window.addEventListener("offline", () => this.#networkLost(), { signal });
    if (this.#state.sale !== undefined) this.#watchTurn(this.#state.sale);
    this.#connect();
    this.#graceTimer = setTimeout(() => this.#poll(), GRACE_MS);
  }

  stop(): void {
    this.#life?.abort();
    this.#life = undefined;
    this.#closeStream();
    this.#poller.stop();
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
    this.#forgetTurn();
    this.#update({ connection: "connecting" });
  }

  #update(change: Partial<FeedState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  // The stream.

  #connect(): void {
    this.#closeStream();
    const stream = new AbortController();
    this.#stream = stream;
    let sentAt: number | undefined = Date.now();
    // A stream that resumes may have nothing to tell; any other begins with the whole truth.
    const resumes = this.#lastEventId !== undefined && this.#state.sale !== undefined;
    const end = followSale(
      this.#sku,
      this.#lastEventId,
      {
        onOpen: () => {
          if (resumes) this.#opened();
        },
        onId: (id) => {
          this.#lastEventId = id;
        },
        onRetry: (milliseconds) => {
          this.#retryMs = Math.min(milliseconds, RETRY_MAX_MS);
        },
        onEvent: (event) => {
          this.#takeEvent(event, sentAt);
          // Only the first event answers the request; when the others were sent is not known.
          sentAt = undefined;
        },
      },
      stream.signal,
    );
    void end.then((how) => {
      if (this.#stream === stream) this.#ended(how);
    });
  }

  #closeStream(): void {
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = undefined;
    this.#stream?.abort();
    this.#stream = undefined;
    this.#openedAt = undefined;
  }

  #opened(): void {
    if (this.#openedAt !== undefined) return;
    this.#openedAt = Date.now();
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
    this.#poller.stop();
    this.#update({ connection: "live", missing: false });
  }

  #ended(how: StreamEnd): void {
    const livedMs = this.#openedAt === undefined ? undefined : Date.now() - this.#openedAt;
    this.#closeStream();
    if (how.kind === "refused" && saysNoSuchSale(how.refusal.status, how.refusal.error.code)) {
      this.#setMissing();
      return;
    }
    if (livedMs !== undefined && how.kind === "ended") {
      // The service ends streams now and then, and says nothing by it.
      this.#update({ connection: "connecting" });
      this.#graceTimer = setTimeout(() => this.#poll(), GRACE_MS);
    } else if (this.#state.connection !== "connecting" || this.#state.sale === undefined) {
      this.#poll();
    }
    const isShort = livedMs === undefined || livedMs < STREAM_LIFE_MIN_MS;
    const wasFailing = this.#failures > 0 && isShort;
    this.#failures = isShort ? this.#failures + 1 : 0;
    if (livedMs !== undefined && !wasFailing) {
      this.#reconnectIn(jitterMs(0, REOPEN_WITHIN_MS));
      return;
    }
    const wished = how.kind === "refused" ? (how.refusal.retryAfterMs ?? 0) : this.#retryMs;
    this.#reconnectIn(Math.max(Math.min(wished, RETRY_MAX_MS), backoffMs(this.#failures, RETRY_MS)));
  }

  #reconnectIn(milliseconds: number): void {
    this.#reconnectTimer = setTimeout(() => this.#connect(), milliseconds);
  }

  #takeEvent(event: SaleEvent, sentAt: number | undefined): void {
    this.#lastEventAt = Date.now();
    const { sale } = this.#state;
    switch (event.type) {
      case "initial": {
        const { sale: next } = event;
        const serverTime = Date.parse(next.serverTime);
        this.clock.take({ serverTime, saidAfter: sentAt, receivedAt: Date.now() });
        this.#setSale(this.#afterReset ? next : mergeStatus(sale, next));
        this.#afterReset = false;
        this.#opened();
        break;
      }
      case "reset":
        this.#afterReset = true;
        break;
      default:
        if (sale !== undefined) this.#setSale(mergeChange(sale, event));
    }
  }

  // The polls.

  #poll(): void {
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
    if (this.#poller.isRunning) return;
    this.#update({ connection: "polling" });
    this.#poller.start(POLL_EVERY_MS);
  }

  #takePolled(next: Sale, timing: Timing): void {
    this.clock.takeAnswer(next.serverTime, timing);
    const { sale, missing } = this.#state;
    const isLive = this.#openedAt !== undefined;
    // The stream knows better: it said something after this was asked, or tells of another sale.
    const isOlder = sale !== undefined && timing.sentAt < this.#lastEventAt;
    const isOther = sale !== undefined && isLive && !isSameSale(sale, next);
    if (!isOlder && !isOther) this.#setSale(mergeStatus(sale, next));
    if (missing) {
      this.#poller.stop();
      this.#update({ missing: false, connection: "connecting" });
      this.#failures = 0;
      this.#connect();
      this.#graceTimer = setTimeout(() => this.#poll(), GRACE_MS);
    }
  }

  #setMissing(): void {
    this.#closeStream();
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
    this.#forgetTurn();
    this.#lastEventId = undefined;
    if (this.#state.missing) return;
    this.#update({ sale: undefined, missing: true, connection: "connecting" });
    this.#poller.stop();
    this.#poller.start(MISSING_POLL_EVERY_MS);
  }

  #setSale(sale: Sale): void {
    this.#update({ sale });
    this.#watchTurn(sale);
  }

  #watchTurn(sale: Sale): void {
    const turn = turnOf(sale);
    if (turn === this.#turn) return;
    this.#turn = turn;
    this.#awaitTurn(0);
  }

  /** When the start or the end has passed and no event says so, asks (FE-1); the page never decides it. */
  #awaitTurn(atLeastMs: number): void {
    clearTimeout(this.#turnTimer);
    const turn = this.#turn;
    if (turn === undefined) return;
    const delay = Math.max(turn - this.clock.now(), atLeastMs) + jitterMs(200, 800);
    this.#turnTimer = setTimeout(
      () => {
        if (this.clock.now() < turn) return this.#awaitTurn(0);
        if (!this.#poller.isRunning) this.#poller.askNow(false);
        return this.#awaitTurn(POLL_EVERY_MS);
      },
      Math.min(delay, TIMER_MAX_MS),
    );
  }

  #forgetTurn(): void {
    clearTimeout(this.#turnTimer);
    this.#turn = undefined;
  }

  // The world around.

  #visibilityChanged(): void {
    if (document.visibilityState === "visible") this.#catchUp();
  }

  /** The page was away, or the network: what is shown may be old. */
  #catchUp(): void {
    if (this.#openedAt === undefined && !this.#state.missing) {
      this.#failures = 0;
      this.#connect();
    }
    this.#poller.askNow(true);
  }

  #networkLost(): void {
    if (this.#state.missing) return;
    this.#closeStream();
    this.#poll();
    this.#reconnectIn(backoffMs(1, RETRY_MS));
  }
}

/** When the state should change next, in ms since 1970. */
function turnOf(sale: Sale): number | undefined {
  switch (sale.state) {
    case "UPCOMING":
      return Date.parse(sale.startTime);
    case "ACTIVE":
      return Date.parse(sale.endTime);
    case "ENDED":
      return undefined;
  }
}
