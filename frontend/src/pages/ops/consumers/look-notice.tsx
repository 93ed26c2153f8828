import type { Consumers } from "../../../api/ops-types";
import { Moment } from "../parts/figures";

/** The service answers, but could not look at the consumers lately; nothing when it could. */
export function LookNotice({ consumers: { at, problem } }: { consumers: Pick<Consumers, "at" | "problem"> }) {
  return (
    <div className={problem === null ? "ops-notice" : "ops-notice ops-stale"}>
      <p role="status">
        {problem !== null && `No newer look at the consumers: ${problem}. The service keeps trying.`}
      </p>
      {problem !== null && at !== null && (
        <p>
          Last look: <Moment iso={at} />
        </p>
      )}
    </div>
  );
}
