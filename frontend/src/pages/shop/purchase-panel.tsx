import { type FormEvent, useEffect, useId, useRef, useState, useSyncExternalStore } from "react";
import type { Sale } from "../../api/types";
import { TRIES_MAX } from "./buying/attempt";
import { type Checkout, type CheckoutState, isOpen } from "./buying/checkout";
import { checkIdentifier } from "./buying/identifier";
import { savedIdentifier } from "./buying/saved";
import { isAlert, OutcomeMessage, useSecondsUntil } from "./outcome-message";
import { ReceiptCard } from "./receipt-card";

/** Where a shopper buys: the form, what came of it, and the receipt. `sale` is none while it loads. */
export function PurchasePanel({ sale, checkout }: { sale: Sale | undefined; checkout: Checkout }) {
  const state = useSyncExternalStore(checkout.subscribe, checkout.getState);
  const { activity, outcome, receipt } = state;
  const panel = useRef<HTMLElement>(null);
  // What was pressed is switched off or goes, and takes the focus with it; then the focus is to come back.
  const pressed = useRef<"buy" | "start-over">(undefined);

  useEffect(() => {
    if (activity !== "idle" || pressed.current === undefined) return;
    const target =
      receipt !== undefined ? "[data-testid=receipt]" : pressed.current === "buy" ? "button" : "input";
    pressed.current = undefined;
    if (document.activeElement !== document.body && document.activeElement !== null) return;
    panel.current?.querySelector<HTMLElement>(`${target}:not(:disabled)`)?.focus({ preventScroll: true });
  }, [activity, receipt]);

  const message = outcome !== undefined && (
    <OutcomeMessage
      outcome={outcome}
      onCheckAgain={() => {
        pressed.current = "buy";
        void checkout.checkAgain();
      }}
    />
  );
  const hasAlert = outcome !== undefined && isAlert(outcome);

  return (
    <section className="panel" aria-label="Buy" ref={panel}>
      {receipt === undefined && (
        <PurchaseForm
          sale={sale}
          state={state}
          onBuyer={checkout.takeBuyer}
          onBuy={(user) => {
            pressed.current = "buy";
            void checkout.buy(user);
          }}
        />
      )}
      {/* Both are always there: a region that comes together with its text is not announced everywhere. */}
      <div className="outcome-region" role="status">
        <Progress state={state} />
        {!hasAlert && message}
      </div>
      <div className="outcome-region" role="alert">
        {hasAlert && message}
      </div>
      {receipt !== undefined && (
        <ReceiptCard
          receipt={receipt}
          onStartOver={() => {
            pressed.current = "start-over";
            checkout.startOver();
          }}
        />
      )}
    </section>
  );
}

function Progress({ state: { activity, retry, checking } }: { state: CheckoutState }) {
  if (activity === "idle") return null;
  if (checking?.kind === "CAPTCHA") {
    return <p className="progress">This sale keeps robots out. Please complete the shop’s check.</p>;
  }
  if (checking !== undefined) {
    return (
      <div className="progress">
        <p>
          This sale keeps robots out: your browser does a short calculation first. Please stay on this page.
        </p>
        {/* For the eye only: the text is read out once, and does not change. */}
        <div className="progress-bar" aria-hidden="true">
          <span className="progress-bar-fill" style={{ transform: `scaleX(${checking.share})` }} />
        </div>
      </div>
    );
  }
  if (retry?.because === "silence") {
    return (
      <p className="progress">
        No answer yet. Trying again ({retry.nextTry} of {TRIES_MAX})…
      </p>
    );
  }
  return activity === "resuming" ? <p className="progress">Finishing your purchase…</p> : null;
}

function PurchaseForm({
  sale,
  state: { activity, checking, outcome },
  onBuyer,
  onBuy,
}: {
  sale: Sale | undefined;
  state: CheckoutState;
  onBuyer: (user: string | undefined) => void;
  onBuy: (user: string) => void;
}) {
  const [text, setText] = useState(savedIdentifier);
  const [fault, setFault] = useState<string>();
  const input = useRef<HTMLInputElement>(null);
  const [inputId, faultId, hintId] = [useId(), useId(), useId()];

  const isBusy = activity !== "idle";
  const busyText = checking === undefined ? "Sending…" : "Checking…";
  const isUnknown = outcome?.kind === "unknown";
  const isSoldOut = outcome?.kind === "sold-out";
  const waitSeconds = useSecondsUntil(outcome?.kind === "rate-limited" ? outcome.until : undefined);
  const canBuy =
    sale !== undefined && isOpen(sale) && !isBusy && !isUnknown && !isSoldOut && waitSeconds === 0;
  const isRefused = outcome?.kind === "invalid" && outcome.field === "user";
  const shownFault = fault ?? (isRefused ? "The shop does not take this identifier." : undefined);

  useEffect(() => {
    const identifier = checkIdentifier(text);
    onBuyer(identifier.valid ? identifier.user : undefined);
  }, [text, onBuyer]);

  useEffect(() => {
    if (isRefused) input.current?.focus();
  }, [isRefused]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    // Enter in the input comes here also while the button is off.
    if (!canBuy) return;
    const identifier = checkIdentifier(text);
    if (!identifier.valid) {
      setFault(identifier.why);
      input.current?.focus();
      return;
    }
    setFault(undefined);
    onBuy(identifier.user);
  };

  return (
    <form className="form" onSubmit={submit} noValidate>
      <div className="field">
        <label htmlFor={inputId}>Your identifier (e-mail or customer number)</label>
        <input
          id={inputId}
          ref={input}
          type="text"
          inputMode="email"
          autoComplete="username"
          autoCapitalize="none"
          autoCorrect="off"
          spellCheck={false}
          enterKeyHint="go"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setFault(undefined);
          }}
          readOnly={isBusy || isUnknown}
          disabled={sale?.state === "ENDED" && !isBusy}
          aria-invalid={shownFault !== undefined}
          aria-describedby={shownFault === undefined ? hintId : faultId}
        />
        {shownFault === undefined ? (
          <p className="hint" id={hintId}>
            <Hint sale={sale} />
          </p>
        ) : (
          <p className="fault" id={faultId}>
            {shownFault}
          </p>
        )}
      </div>
      <button type="submit" className="button button-buy" disabled={!canBuy} aria-busy={isBusy}>
        {isBusy && <span className="spinner" aria-hidden="true" />}
        {isBusy ? busyText : isSoldOut ? "Sold out" : buttonText(sale)}
      </button>
    </form>
  );
}

function Hint({ sale }: { sale: Sale | undefined }) {
  switch (sale?.state) {
    case "UPCOMING":
      return "Enter it now and be ready: the button opens by itself.";
    case "ENDED":
      return (
        <>
          This sale is over. <a href="/">See the other sales</a>
        </>
      );
    default:
      return "One unit a person. The receipt carries this name.";
  }
}

/** FE-3: what the button says when nothing is under way. */
function buttonText(sale: Sale | undefined): string {
  if (sale === undefined) return "Loading…";
  if (sale.state === "ENDED") return sale.endReason === "SOLD_OUT" ? "Sold out" : "Sale ended";
  if (sale.paused === true) return "Paused";
  return sale.state === "ACTIVE" ? "Buy now" : "Not open yet";
}
