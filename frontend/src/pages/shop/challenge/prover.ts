import type { ProofOfWork } from "../../../api/challenges";
import type { ProofNews, ProofTask } from "./proof-worker";

/**
 * The answer to a proof of work, found by a worker; none when `signal` ended it, or when this browser does not run
 * the worker. `onShare` hears how likely it was, from 0 to 1, to be done by now: how long it takes is left to chance.
 */
export function prove(
  { challenge, difficultyBits }: ProofOfWork,
  onShare: (share: number) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const worker = signal.aborted ? undefined : startWorker();
    if (worker === undefined) return resolve(undefined);
    const end = (answer: string | undefined) => {
      worker.terminate();
      signal.removeEventListener("abort", giveUp);
      resolve(answer);
    };
    const giveUp = () => end(undefined);
    signal.addEventListener("abort", giveUp);
    worker.addEventListener("message", ({ data: news }: MessageEvent<ProofNews>) => {
      if (news.kind === "found") end(`${challenge}:${news.nonce}`);
      else onShare(1 - Math.exp(-news.tries / 2 ** difficultyBits));
    });
    // Also when its file did not come.
    worker.addEventListener("error", giveUp);
    worker.postMessage({ challenge, difficultyBits } satisfies ProofTask);
  });
}

function startWorker(): Worker | undefined {
  try {
    return new Worker(new URL("./proof-worker.ts", import.meta.url), { type: "module" });
  } catch {
    return undefined;
  }
}
