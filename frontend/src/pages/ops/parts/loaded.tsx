import { type ReactNode, useEffect, useState } from "react";
import { Icon } from "../../../components/icon";
import { plural } from "../format";
import type { PollState } from "../live/poll";
import type { Polled } from "../live/use-poll";
import { problemText } from "./problem";

/** What was asked for, or that it is being loaded, or why it cannot be; and a notice when it may be old. */
export function Loaded<T>({
  polled,
  what,
  children,
}: {
  polled: Polled<T>;
  /** As in "Loading the consumers". */
  what: string;
  children: (data: T) => ReactNode;
}) {
  const { data, problem, refresh } = polled;
  return (
    <>
      <StaleNotice state={polled} />
      {data !== undefined ? (
        children(data)
      ) : problem !== undefined ? (
        <div className="blank" role="alert">
          <Icon name="cloudOff" />
          <h2>No news of {what}</h2>
          <p>{problemText(problem)} This page keeps asking.</p>
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

/** Always there, so that its coming is announced; its seconds are not. */
export function StaleNotice({ state }: { state: Pick<PollState<unknown>, "at" | "problem"> }) {
  const { at, problem } = state;
  const isStale = problem !== undefined && at !== undefined;
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
