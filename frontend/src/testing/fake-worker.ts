import { vi } from "vitest";
import type { ProofNews, ProofTask } from "../pages/shop/challenge/proof-worker";

/** A worker for tests: it does nothing, and says what it is told to. */
export class FakeWorker extends EventTarget {
  task: ProofTask | undefined;
  isTerminated = false;

  postMessage(task: ProofTask): void {
    this.task = task;
  }

  terminate(): void {
    this.isTerminated = true;
  }

  says(news: ProofNews): void {
    this.dispatchEvent(new MessageEvent("message", { data: news }));
  }

  fails(): void {
    this.dispatchEvent(new Event("error"));
  }
}

/** Puts such workers in the place of `Worker`; they come here as they are started. */
export function fakeWorkers(): FakeWorker[] {
  const started: FakeWorker[] = [];
  vi.stubGlobal(
    "Worker",
    class extends FakeWorker {
      constructor() {
        super();
        started.push(this);
      }
    },
  );
  return started;
}
