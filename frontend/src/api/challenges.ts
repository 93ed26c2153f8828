/** What a sale may ask of a buyer's browser before it sells to it. */

import { headerText, isRecord, request } from "./client";
import { isTime, isUnits } from "./sales";

const READ_TIMEOUT_MS = 5_000;
/** A hash is compared by its first word. Far fewer bits already take a browser minutes. */
const DIFFICULTY_BITS_MAX = 32;

export interface ProofOfWork {
  kind: "PROOF_OF_WORK";
  challenge: string;
  /** With how many zero bits the hash has to begin. */
  difficultyBits: number;
  expiresAt: string;
}

export interface Captcha {
  kind: "CAPTCHA";
  siteKey: string;
  /** The host that will check the token. */
  verifier: string;
}

export type Challenge = { kind: "NONE" } | ProofOfWork | Captcha;

/** The challenge for `user`; none when there is no answer, or the service said no. */
export async function readChallenge(
  sku: string,
  user: string,
  signal: AbortSignal,
): Promise<Challenge | undefined> {
  const answer = await request(`/api/v1/purchases/challenge?sku=${encodeURIComponent(sku)}`, {
    headers: { "X-User-Id": headerText(user) },
    timeoutMs: READ_TIMEOUT_MS,
    accept: isChallenge,
    signal,
  });
  return answer.kind === "success" ? answer.data : undefined;
}

export function isChallenge(value: unknown): value is Challenge {
  if (!isRecord(value)) return false;
  switch (value.kind) {
    case "NONE":
      return true;
    case "PROOF_OF_WORK":
      return (
        typeof value.challenge === "string" &&
        isUnits(value.difficultyBits) &&
        value.difficultyBits <= DIFFICULTY_BITS_MAX &&
        isTime(value.expiresAt)
      );
    case "CAPTCHA":
      return typeof value.siteKey === "string" && typeof value.verifier === "string";
    default:
      return false;
  }
}
