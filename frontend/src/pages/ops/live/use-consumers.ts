import { useCallback } from "react";
import { readConsumers } from "../../../api/ops-consumers";
import type { Consumers } from "../../../api/ops-types";
import { useWorkplace } from "../workplace";
import { type Polled, usePoll } from "./use-poll";

const EVERY_MS = 2_000;

/** All consumers; how far each is behind is noted for the chart. */
export function useConsumers(): Polled<Consumers> {
  const { ops, lag } = useWorkplace();
  const ask = useCallback(
    async (signal: AbortSignal) => {
      const answer = await readConsumers(ops, signal);
      if (answer.kind === "success") lag.add(answer.data);
      return answer;
    },
    [ops, lag],
  );
  return usePoll(ask, EVERY_MS);
}
