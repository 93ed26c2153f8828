import { useEffect, useMemo, useSyncExternalStore } from "react";
import type { Answer } from "../../../api/client";
import { Poll, type PollState } from "./poll";

export interface Polled<T> extends PollState<T> {
  /** Asks at once. */
  refresh: () => void;
}

/** What `ask` answers, asked anew every `everyMs`. A new `ask` is a new question: it begins without an answer. */
export function usePoll<T>(ask: (signal: AbortSignal) => Promise<Answer<T>>, everyMs: number): Polled<T> {
  const poll = useMemo(() => new Poll<T>(ask, everyMs), [ask, everyMs]);
  const state = useSyncExternalStore(poll.subscribe, poll.getState);
  useEffect(() => {
    poll.start();
    return () => poll.stop();
  }, [poll]);
  return { ...state, refresh: poll.refresh };
}
