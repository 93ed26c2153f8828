/** Does the work of a proof of work beside the page, which stays awake. It ends when the page ends it. */

import { findNonce } from "./proof";

/** What the page says to it, once. */
export interface ProofTask {
  challenge: string;
  difficultyBits: number;
}

/** What it says to the page: how far it is, and at last the number. */
export type ProofNews = { kind: "tried"; tries: number } | { kind: "found"; nonce: string };

const tell = (news: ProofNews) => postMessage(news);

addEventListener("message", ({ data: { challenge, difficultyBits } }: MessageEvent<ProofTask>) => {
  const nonce = findNonce(challenge, difficultyBits, (tries) => tell({ kind: "tried", tries }));
  tell({ kind: "found", nonce });
});
