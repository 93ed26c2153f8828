import { type ReactNode, useEffect, useState } from "react";
import type { NotActiveReason } from "../../api/purchases";
import { Icon, type IconName } from "../../components/icon";
import type { Outcome } from "./buying/attempt";

type Unproved = Extract<Outcome, { kind: "unproved" }>["because"];

type Tone = "good" | "wait" | "over" | "bad";

interface Message {
  tone: Tone;
  icon: IconName;
  headline: string;
  /** What it means, and what to do now. */
  next: ReactNode;
}

const allSales = <a href="/">See the other sales</a>;

/** FE-4: what came of trying to buy; each outcome has its own look and says what to do next. */
export function OutcomeMessage({ outcome, onCheckAgain }: { outcome: Outcome; onCheckAgain: () => void }) {
  const { tone, icon, headline, next } = messageOf(outcome);
  return (
    <div className="outcome" data-tone={tone} data-testid="outcome" data-outcome={outcome.kind}>
      <span className="outcome-icon">
        <Icon name={icon} />
      </span>
      <div>
        <p className="outcome-headline">{headline}</p>
        <p>{next}</p>
        {outcome.kind === "unknown" && (
          <button type="button" className="button button-quiet" onClick={onCheckAgain}>
            Check again
          </button>
        )}
        {outcome.kind === "not-active" && outcome.reason === "SALE_REPLACED" && (
          <button type="button" className="button button-quiet" onClick={() => location.reload()}>
            Reload the page
          </button>
        )}
      </div>
    </div>
  );
}

/** Whether to interrupt a screen reader: something went wrong that the shopper must know now. */
export function isAlert(outcome: Outcome): boolean {
  return ["unknown", "invalid", "unproved", "busy"].includes(outcome.kind);
}

function messageOf(outcome: Outcome): Message {
  switch (outcome.kind) {
    case "purchased":
      return {
        tone: "good",
        icon: "check",
        headline: "It’s yours",
        next: "The unit is bought in your name. Keep the receipt number.",
      };
    case "already-purchased":
      return {
        tone: "good",
        icon: "receipt",
        headline: "You already have one",
        next: "One unit a person. This is the receipt of your purchase; nothing was bought twice.",
      };
    case "pending":
      return {
        tone: "good",
        icon: "hourglass",
        headline: "Confirmed — being written to the records",
        next: outcome.stalled
          ? "This takes longer than usual. The unit is yours all the same, and the receipt number stays as it is."
          : "The unit is yours. Keep the receipt number; you may close this page.",
      };
    case "sold-out":
      return {
        tone: "over",
        icon: "soldOut",
        headline: "Sold out",
        next: <>The last unit is gone, and none will come back. Nothing was bought. {allSales}.</>,
      };
    case "not-active":
      return { tone: "wait", ...notActive(outcome.reason) };
    case "rate-limited":
      return {
        tone: "wait",
        icon: "clock",
        headline: "One try a second, please",
        next: <Wait until={outcome.until} key={outcome.until} />,
      };
    case "busy":
      return {
        tone: "wait",
        icon: "hourglass",
        headline: "The shop is very busy",
        next: "Your request is being repeated by itself. Please stay on this page.",
      };
    case "unproved":
      return { tone: "bad", icon: "warning", ...unproved(outcome.because) };
    case "unknown":
      return {
        tone: "bad",
        icon: "question",
        headline: "No answer from the shop",
        next: "Your request may have arrived or not. Check again: it is safe, and buys no second unit.",
      };
    case "invalid":
      return outcome.field === "user"
        ? {
            tone: "bad",
            icon: "warning",
            headline: "The shop does not take this identifier",
            next: "Nothing was bought. Correct it and try again.",
          }
        : {
            tone: "bad",
            icon: "warning",
            headline: "The shop did not understand this page",
            next: "Nothing was bought. Reload the page and try again.",
          };
  }
}

function notActive(reason: NotActiveReason): Omit<Message, "tone"> {
  switch (reason) {
    case "NOT_STARTED":
      return {
        icon: "clock",
        headline: "Not open yet",
        next: "You were a moment early, and nothing was bought. Try again when the countdown is over.",
      };
    case "PAUSED":
      return {
        icon: "pause",
        headline: "The sale is paused",
        next: "Nothing was bought. Stay on this page: the button works again when the sale goes on.",
      };
    case "TIME_EXPIRED":
      return {
        icon: "clock",
        headline: "The sale has ended",
        next: <>Your request came after the end, and nothing was bought. {allSales}.</>,
      };
    case "SALE_REPLACED":
      return {
        icon: "info",
        headline: "This sale was replaced",
        next: "Nothing was bought. Reload the page to see the sale as it is now.",
      };
    case "NO_SALE":
      return {
        icon: "info",
        headline: "This sale is gone",
        next: <>The shop does not offer it any more, and nothing was bought. {allSales}.</>,
      };
  }
}

function unproved(because: Unproved): Pick<Message, "headline" | "next"> {
  switch (because) {
    case "no-worker":
      return {
        headline: "Your browser could not do the check",
        next: "This sale has each browser do a short calculation first. Nothing was bought. Reload the page, or use another browser.",
      };
    case "no-captcha":
      return {
        headline: "This page cannot show the check",
        next: "This sale asks for a CAPTCHA, and the shop has put none on this page. Nothing was bought. Ask the shop where it sells it.",
      };
    case "no-token":
      return {
        headline: "The check was not completed",
        next: "Nothing was bought. Press the button to get the check again.",
      };
    case "refused":
      return {
        headline: "The check did not succeed",
        next: "Nothing was bought. Try again; should that not help, reload the page.",
      };
  }
}

/** Counts seconds for the eye only: a screen reader would repeat the whole message each time. */
function Wait({ until }: { until: number }) {
  const seconds = useSecondsUntil(until);
  return (
    <>
      <span className="visually-hidden">
        Nothing was bought. Wait a few seconds, then press the button again.
      </span>
      <span aria-hidden="true">
        Nothing was bought. {seconds > 0 ? `Try again in ${seconds} s.` : "You can try again now."}
      </span>
    </>
  );
}

/** How many seconds are left until `until`, by this device's clock; zero when there is nothing to wait for. */
export function useSecondsUntil(until: number | undefined): number {
  const [now, setNow] = useState(Date.now);
  const left = until === undefined ? 0 : Math.max(0, until - Math.min(now, Date.now()));
  useEffect(() => {
    setNow(Date.now());
    if (until === undefined) return;
    const timer = setInterval(() => {
      setNow(Date.now());
      if (Date.now() >= until) clearInterval(timer);
    }, 250);
    return () => clearInterval(timer);
  }, [until]);
  return Math.ceil(left / 1000);
}
