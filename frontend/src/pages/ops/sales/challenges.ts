import type { ChallengeKind } from "../../../api/types";

/** What each kind of challenge is called. */
export const CHALLENGES: Record<ChallengeKind, string> = {
  NONE: "None",
  PROOF_OF_WORK: "Proof of work",
  CAPTCHA: "CAPTCHA",
};
