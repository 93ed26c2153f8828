/** Answers to the challenge of one sale, each for one buyer: asked for, worked out, and kept until they expire. */

import { type Challenge, readChallenge } from "../../../api/challenges";
import type { ChallengeKind } from "../../../api/types";
import type { ServerClock } from "../live/server-clock";
import { askCaptcha, hasCaptcha } from "./captcha";
import { prove } from "./prover";

/** An answer is not sent later than this before it expires: it may wait on its way, and clocks differ. */
const EXPIRY_MARGIN_MS = 10_000;

/** What there is to send. */
export type Answered =
  /** `text` is none where none is needed, or where nobody said what is asked: then the reply will. */
  { kind: "answered"; text: string | undefined } | { kind: "impossible"; because: Hindrance };

/** Why there is no answer: this browser runs no worker, the page has no CAPTCHA, or that gave no token. */
export type Hindrance = "no-worker" | "no-captcha" | "no-token";

/** A challenge that is being answered; `share` tells how far a proof of work is, from 0 to 1. */
export interface Checking {
  kind: Exclude<ChallengeKind, "NONE">;
  share: number;
}

export class ChallengeAnswers {
  /** What the sale asks for, as far as it is known. */
  kind: ChallengeKind | undefined;
  readonly #sku: string;
  readonly #clock: ServerClock;
  readonly #onChecking: (checking: Checking | undefined) => void;
  #kept: { user: string; text: string; until: number } | undefined;
  /** What the service asked for when it refused a purchase. */
  #demand: { user: string; challenge: Challenge | undefined } | undefined;
  #work: { user: string; life: AbortController; answer: Promise<Answered> } | undefined;

  constructor(sku: string, clock: ServerClock, onChecking: (checking: Checking | undefined) => void) {
    this.#sku = sku;
    this.#clock = clock;
    this.#onChecking = onChecking;
  }

  /** The answer that `user` already has, and may still send. */
  kept(user: string): string | undefined {
    const kept = this.#kept;
    return kept?.user === user && this.#clock.now() < kept.until ? kept.text : undefined;
  }

  /** What `user` is to send; asks and works as long as it takes. Of no use after `stop`. */
  get(user: string): Promise<Answered> {
    const text = this.kept(user);
    if (text !== undefined) return Promise.resolve({ kind: "answered", text });
    if (this.#work?.user === user) return this.#work.answer;
    this.stop();
    const isAsked = this.#demand?.user === user || (this.kind ?? "NONE") !== "NONE";
    if (!isAsked) return Promise.resolve({ kind: "answered", text: undefined });
    const life = new AbortController();
    const answer = this.#answer(user, life.signal).finally(() => {
      if (this.#work?.life === life) this.stop();
    });
    this.#work = { user, life, answer };
    return answer;
  }

  /** Forgets what there was for `user`: the service refused it, and asks for `challenge`. */
  demand(user: string, challenge: Challenge | undefined): void {
    this.stop();
    this.#kept = undefined;
    this.#demand = { user, challenge };
  }

  /** Ends what is being worked out. */
  stop(): void {
    if (this.#work === undefined) return;
    this.#work.life.abort();
    this.#work = undefined;
    this.#onChecking(undefined);
  }

  async #answer(user: string, signal: AbortSignal): Promise<Answered> {
    const demanded = this.#demand?.user === user ? this.#demand.challenge : undefined;
    this.#demand = undefined;
    const kind = demanded?.kind ?? this.kind;
    if (kind === "CAPTCHA" && !hasCaptcha()) return { kind: "impossible", because: "no-captcha" };
    this.#onChecking({ kind: kind === "CAPTCHA" ? kind : "PROOF_OF_WORK", share: 0 });
    const challenge = demanded ?? (await readChallenge(this.#sku, user, signal));
    switch (challenge?.kind) {
      case "PROOF_OF_WORK": {
        const onShare = (share: number) => this.#onChecking({ kind: "PROOF_OF_WORK", share });
        const text = await prove(challenge, onShare, signal);
        if (text === undefined) return { kind: "impossible", because: "no-worker" };
        return this.#keep(user, text, Date.parse(challenge.expiresAt) - EXPIRY_MARGIN_MS);
      }
      case "CAPTCHA": {
        if (!hasCaptcha()) return { kind: "impossible", because: "no-captcha" };
        const token = await askCaptcha(challenge);
        if (token === undefined || signal.aborted) return { kind: "impossible", because: "no-token" };
        // Only who issued it knows how long it is good for; the service will say when it is not.
        return this.#keep(user, token, Number.POSITIVE_INFINITY);
      }
      default:
        return { kind: "answered", text: undefined };
    }
  }

  #keep(user: string, text: string, until: number): Answered {
    this.#kept = { user, text, until };
    return { kind: "answered", text };
  }
}
