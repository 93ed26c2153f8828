import type { ProofOfWork } from "../api/challenges";

/** A proof of work for tests, good until two minutes after `saleFixture` says its time. */
export function proofFixture(different: Partial<ProofOfWork> = {}): ProofOfWork {
  return {
    kind: "PROOF_OF_WORK",
    challenge: "text",
    difficultyBits: 18,
    expiresAt: "2026-11-23T12:12:00.000Z",
    ...different,
  };
}
