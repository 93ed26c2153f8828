/**
 * Buying in one sale, from the form to the receipt.
 *
 *   form ──buy──▶ sending ──▶ receipt (purchased, already-purchased, pending)
 *     ▲              └──────▶ form with an outcome, or unknown ──check again──▶ sending
 *     └──── a reload with an attempt or a receipt goes on where it was
 */

import { readReceipt } from "../../../api/purchases";
import type { Receipt, Sale } from "../../../api/types";
import { ChallengeAnswers, type Checking } from "../challenge/answers";
import { jitterMs } from "../live/backoff";
import { isSameSale } from "../live/sale-merge";
import type { ServerClock } from "../live/server-clock";
import { awaitRecord, type Outcome, type Retry, settle } from "./attempt";
import { pause } from "./pause";
import { newRequestKey } from "./request-key";
import {
  dropAttempt,
  dropIdentifier,
  dropReceipt,
  onReceiptChanged,
  type SavedAttempt,
  type SavedReceipt,
  saveAttempt,
  savedAttempt,
  savedReceipt,
  saveIdentifier,
  saveReceipt,
} from "./saved";

export interface CheckoutState {
  /** `resuming` goes on with an attempt of an earlier visit. */
  activity: "idle" | "sending" | "resuming";
  /** Why it takes longer, while it does. */
  retry: Retry | undefined;
  /** The challenge that is being answered, also before the click. */
  checking: Checking | undefined;
  outcome: Outcome | undefined;
  receipt: SavedReceipt | undefined;
}

/** FE-8: in the opening second everybody clicks at once; this spreads them. */
const OPENING_MS = 1_000;
const OPENING_JITTER_MAX_MS = 500;
/** A challenge is answered this long before the opening; not by everybody at once, and with time left to do it. */
const AHEAD_MS = 20_000;
const AHEAD_SPREAD_MS = 10_000;
/** Somebody who has not typed for so long has written all of their identifier. */
const TYPED_MS = 1_500;
/** Longest delay that a timer of a browser takes. */
const TIMER_MAX_MS = 2 ** 31 - 1;
/** When to ask whether a kept receipt is still right; a question without an answer is asked again. */
const VERIFY_AFTER_MS = [0, 3_000, 15_000];

export class Checkout {
  readonly #sku: string;
  readonly #clock: ServerClock;
  readonly #answers: ChallengeAnswers;
  readonly #listeners = new Set<() => void>();
  #state: CheckoutState;
  /** From `start` to `stop`. */
  #life = new AbortController();
  #sale: Sale | undefined;
  #isRunning = false;
  /** Who is in the form. */
  #buyer: string | undefined;
  #aheadTimer: ReturnType<typeof setTimeout> | undefined;
  /** Ends waiting for the records, and verifying. */
  #background = new AbortController();

  constructor(sku: string, clock: ServerClock) {
    this.#sku = sku;
    this.#clock = clock;
    this.#answers = new ChallengeAnswers(sku, clock, (checking) => this.#update({ checking }));
    this.#state = { activity: "idle", retry: undefined, checking: undefined, ...kept(sku) };
  }

  readonly getState = (): CheckoutState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    this.stop();
    this.#life = new AbortController();
    onReceiptChanged(this.#sku, () => this.#receiptChanged(), this.#life.signal);
  }

  /** An attempt under way stays remembered, and goes on with the next start. */
  stop(): void {
    this.#life.abort();
    this.#background.abort();
    this.#answers.stop();
    clearTimeout(this.#aheadTimer);
    this.#sale = undefined;
    this.#isRunning = false;
  }

  /** Says how the sale is, whenever that changes. */
  takeSale(sale: Sale): void {
    const known = this.#sale;
    this.#sale = sale;
    this.#answers.kind = sale.challenge;
    const isNews = known?.state !== sale.state || known.challenge !== sale.challenge;
    if (isNews || known.startTime !== sale.startTime) this.#planAnswer();
    if (known === undefined) {
      this.#begin(sale);
      return;
    }
    if (!isSameSale(known, sale)) {
      this.#beginAnew();
      return;
    }
    const { outcome } = this.#state;
    if (outcome?.kind === "not-active" && isOpen(sale) && !isOpen(known))
      this.#update({ outcome: undefined });
  }

  /** Says who is in the form, so that a challenge is answered before they click; none while that is nobody. */
  readonly takeBuyer = (user: string | undefined): void => {
    if (user === this.#buyer) return;
    this.#buyer = user;
    this.#planAnswer();
  };

  /** FE-8: one attempt of `user`; while one is under way, nothing. */
  async buy(user: string): Promise<void> {
    const sale = this.#sale;
    if (this.#isRunning || sale === undefined || !isOpen(sale) || this.#state.receipt !== undefined) return;
    this.#isRunning = true;
    saveIdentifier(user);
    const open = savedAttempt(this.#sku);
    // Another tab may be at it: the same key gets the same answer.
    const isJoined = open !== undefined && open.user === user && open.startTime === sale.startTime;
    const attempt = isJoined
      ? open
      : { sku: this.#sku, user, key: newRequestKey(), startTime: sale.startTime };
    saveAttempt(attempt);
    this.#update({ activity: "sending", retry: undefined, outcome: undefined });
    const { signal } = this.#life;
    const sinceOpening = this.#clock.now() - Date.parse(sale.startTime);
    if (sinceOpening < OPENING_MS) await pause(Math.random() * OPENING_JITTER_MAX_MS, signal);
    await this.#run(attempt, isJoined, signal);
  }

  /** Sends an attempt again of which nobody knows how it went. */
  async checkAgain(): Promise<void> {
    const attempt = savedAttempt(this.#sku);
    if (this.#isRunning) return;
    if (attempt === undefined) return this.#receiptChanged();
    await this.#resume(attempt, "sending");
  }

  /** Back to the form, for another buyer at this device. */
  startOver(): void {
    this.#background.abort();
    const attempt = savedAttempt(this.#sku);
    if (attempt !== undefined) dropAttempt(attempt);
    dropReceipt(this.#sku);
    dropIdentifier();
    this.#update({ outcome: undefined, receipt: undefined });
  }

  #update(change: Partial<CheckoutState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  /** Has a proof of work done when its time comes. A CAPTCHA waits for the click: it takes a person. */
  #planAnswer(): void {
    clearTimeout(this.#aheadTimer);
    const [sale, user] = [this.#sale, this.#buyer];
    if (sale?.challenge !== "PROOF_OF_WORK" || sale.state === "ENDED" || user === undefined) return;
    const early = Date.parse(sale.startTime) - AHEAD_MS - this.#clock.now();
    const delay = early > 0 ? early + jitterMs(0, AHEAD_SPREAD_MS) : jitterMs(TYPED_MS, 2 * TYPED_MS);
    if (delay > TIMER_MAX_MS) return;
    this.#aheadTimer = setTimeout(() => {
      if (!this.#isRunning && this.#state.receipt === undefined) void this.#answers.get(user);
    }, delay);
  }

  /** Goes on where an earlier visit was. */
  #begin(sale: Sale): void {
    const attempt = savedAttempt(this.#sku);
    if (attempt !== undefined && attempt.startTime !== sale.startTime) {
      // It was for an earlier sale of the SKU; sent now it would buy in this one.
      dropAttempt(attempt);
      this.#update(kept(this.#sku));
    } else if (attempt !== undefined) {
      if (this.#state.receipt !== undefined) void this.#followRecord(attempt);
      else void this.#resume(attempt, "resuming");
      return;
    }
    if (this.#state.receipt !== undefined) void this.#verify(this.#state.receipt);
  }

  /** The SKU is sold anew while the page is open. */
  #beginAnew(): void {
    if (this.#isRunning) return;
    this.#background.abort();
    const { receipt } = this.#state;
    if (receipt === undefined) this.#update({ outcome: undefined });
    else void this.#verify(receipt);
  }

  async #resume(attempt: SavedAttempt, activity: "sending" | "resuming"): Promise<void> {
    this.#isRunning = true;
    this.#update({ activity, retry: undefined, outcome: undefined });
    await this.#run(attempt, true, this.#life.signal);
  }

  async #run(attempt: SavedAttempt, maybeDecided: boolean, signal: AbortSignal): Promise<void> {
    const outcome = await settle(attempt, {
      maybeDecided,
      answers: this.#answers,
      signal,
      onRetry: (retry) =>
        this.#update({ retry, outcome: retry.because === "busy" ? { kind: "busy" } : undefined }),
    });
    if (outcome === undefined) return;
    this.#isRunning = false;
    const idle = { activity: "idle", retry: undefined, outcome } as const;
    switch (outcome.kind) {
      case "purchased":
      case "already-purchased":
        // First the receipt: whatever happens in between, one of the two is remembered.
        this.#update({ ...idle, receipt: this.#keep(attempt, outcome.receipt) });
        dropAttempt(attempt);
        break;
      case "pending":
        this.#update({ ...idle, receipt: this.#keep(attempt, outcome.receipt) });
        void this.#followRecord(attempt);
        break;
      case "unknown":
        this.#update(idle);
        break;
      default:
        dropAttempt(attempt);
        this.#update(idle);
    }
  }

  #keep(attempt: SavedAttempt, { purchaseNo, purchasedAt }: Receipt): SavedReceipt {
    const productName = this.#sale?.productName ?? this.#sku;
    const receipt = { purchaseNo, purchasedAt, user: attempt.user, productName };
    saveReceipt(this.#sku, receipt);
    return receipt;
  }

  async #followRecord(attempt: SavedAttempt): Promise<void> {
    const { signal } = this.#newBackground();
    const end = await awaitRecord(attempt, this.#answers, signal);
    const { receipt } = this.#state;
    if (end === undefined || receipt === undefined) return;
    switch (end.kind) {
      case "recorded":
        this.#update({
          receipt: this.#keep(attempt, end.receipt),
          outcome: { kind: "purchased", receipt: end.receipt },
        });
        dropAttempt(attempt);
        break;
      case "stalled":
        this.#update({ outcome: { kind: "pending", receipt, stalled: true } });
        break;
      case "disputed":
        dropAttempt(attempt);
        await this.#verify(receipt);
    }
  }

  /** FE-6: a kept receipt goes only when the service knows that there is none. */
  async #verify(receipt: SavedReceipt): Promise<void> {
    const { signal } = this.#newBackground();
    for (const delay of VERIFY_AFTER_MS) {
      await pause(delay, signal);
      const answer = signal.aborted ? undefined : await readReceipt(this.#sku, receipt.user, signal);
      if (answer === undefined || signal.aborted) return;
      if (answer.kind === "none") {
        dropReceipt(this.#sku);
        this.#update({ receipt: undefined, outcome: undefined });
        return;
      }
      if (answer.kind === "held") {
        const right = { ...receipt, ...answer.receipt };
        saveReceipt(this.#sku, right);
        this.#update({ receipt: right, outcome: { kind: "purchased", receipt: right } });
        return;
      }
    }
  }

  #newBackground(): AbortController {
    this.#background.abort();
    this.#background = new AbortController();
    return this.#background;
  }

  /** Another tab bought, or forgot. */
  #receiptChanged(): void {
    if (this.#isRunning) return;
    this.#background.abort();
    this.#update(kept(this.#sku));
    const attempt = savedAttempt(this.#sku);
    if (this.#state.receipt !== undefined && attempt !== undefined) void this.#followRecord(attempt);
  }
}

/** What an earlier visit left. */
function kept(sku: string): Pick<CheckoutState, "outcome" | "receipt"> {
  const receipt = savedReceipt(sku);
  if (receipt === undefined) return { receipt, outcome: undefined };
  const isPending = savedAttempt(sku) !== undefined;
  return {
    receipt,
    outcome: isPending ? { kind: "pending", receipt, stalled: false } : { kind: "purchased", receipt },
  };
}

/** Whether the button works (FE-3). */
export function isOpen(sale: Sale): boolean {
  return sale.state === "ACTIVE" && sale.paused !== true;
}
