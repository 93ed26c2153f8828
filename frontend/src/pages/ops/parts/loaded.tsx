import { type ReactNode, useEffect, useState } from "react";
import type { Problem } from "../../../api/ops-client";
import { Icon } from "../../../components/icon";
import { plural } from "../format";
import type { PollState } from "../live/poll";
import type { Polled } from "../live/use-poll";
import { isForbidden, problemText } from "./problem";

/** What was asked for, or that it is being loaded, or why it cannot be; and a notice when it may be old. */
export function Loaded<T>({
  polled,
  beside = [],
  what,
  children,
}: {
  polled: Polled<T>;
  /** Other answers that are shown within. */
  beside?: Staleness[];
  /** As in "Loading the consumers". */
  what: string;
  children: (data: T) => ReactNode;
}) {
  const { data, problem, refresh } = polled;
  return (
    <>
      <StaleNotice states={[polled, ...beside]} />
      {data !== undefined ? (
        children(data)
      ) : problem !== undefined ? (
        <div className="blank" role="alert">
          <Icon name="cloudOff" />
          <h2>{headingOf(problem, what)}</h2>
          <p>
            {problemText(problem)} {!isOfTheQuestion(problem) && "This page keeps asking."}
          </p>
          <button type="button" className="button button-quiet" onClick={refresh}>
            Ask now
          </button>
        </div>
      ) : (
        <div className="ops-loading" aria-busy="true">
          <p className="visually-hidden">Loading {what}…</p>
          <p className="skeleton skeleton-line" />
          <p className="skeleton skeleton-line" />
          <p className="skeleton skeleton-line" />
        </div>
      )}
    </>
  );
}

function headingOf(problem: Problem, what: string): string {
  if (isForbidden(problem)) return `You may not see ${what}`;
  const isNone = problem.kind === "refusal" && problem.status === 404;
  return isNone ? `There is no ${what}` : `No news of ${what}`;
}

/** Whether asking the same once more would hardly help. */
function isOfTheQuestion(problem: Problem): boolean {
  return problem.kind === "refusal" && problem.status >= 400 && problem.status < 500;
}

type Staleness = Pick<PollState<unknown>, "at" | "problem">;

/** Tells of the first that may be old. It is always there, so that its coming is announced; its seconds are not. */
function StaleNotice({ states }: { states: Staleness[] }) {
  const stale = states.find(({ at, problem }) => at !== undefined && problem !== undefined);
  const { at, problem } = stale ?? {};
  const isStale = at !== undefined && problem !== undefined;
  return (
    <div className={isStale ? "ops-notice ops-stale" : "ops-notice"} data-testid="stale">
      <p role="status">{isStale && `What you see may be old. ${problemText(problem)}`}</p>
      {isStale && <LastData at={at} />}
    </div>
  );
}

function LastData({ at }: { at: number }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.round((now - at) / 1_000));
  return <p>Last data {plural(seconds, "second")} ago; asking again…</p>;
}
