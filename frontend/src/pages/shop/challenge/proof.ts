/** The work of a proof of work: trying numbers until a hash begins with enough zeros. */

import { sha256 } from "@noble/hashes/sha2.js";

/** Counting from here never gets to an eleventh digit, so that the text keeps its length. */
const FIRST_NONCE = "1000000000";
/** Ten times a second or so, on a desktop. */
export const TRIES_A_WORD = 2 ** 15;

const ZERO = "0".charCodeAt(0);
const NINE = "9".charCodeAt(0);

/**
 * The first number from a billion on for which SHA-256 of `<challenge>:<number>` begins with `difficultyBits` zero
 * bits, 32 at most. Says now and then how many it has tried; on average it takes 2 to the power of `difficultyBits`.
 */
export function findNonce(
  challenge: string,
  difficultyBits: number,
  onTries: (tries: number) => void,
): string {
  const encoder = new TextEncoder();
  const nonce = encoder.encode(FIRST_NONCE);
  // What comes before the number is hashed once, and copied into one hash all the time: making new ones is slower.
  const before = sha256.create().update(encoder.encode(`${challenge}:`));
  const hash = before.clone();
  const digest = new Uint8Array(hash.outputLen);
  const words = new DataView(digest.buffer);
  for (let tries = 1; ; tries += 1) {
    before._cloneInto(hash);
    hash.update(nonce).digestInto(digest);
    if (Math.clz32(words.getUint32(0)) >= difficultyBits) return String.fromCharCode(...nonce);
    if (tries % TRIES_A_WORD === 0) onTries(tries);
    increment(nonce);
  }
}

/** Adds one to a number in ASCII digits. */
function increment(digits: Uint8Array): void {
  let at = digits.length - 1;
  for (; digits[at] === NINE; at -= 1) digits[at] = ZERO;
  digits[at] = (digits[at] ?? ZERO) + 1;
}
