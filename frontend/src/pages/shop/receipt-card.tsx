import { useEffect, useRef, useState } from "react";
import { Icon } from "../../components/icon";
import { exactMoment } from "../../components/moment";
import type { SavedReceipt } from "./buying/saved";

const COPIED_FOR_MS = 2_500;

/** What a shopper holds. */
export function ReceiptCard({ receipt, onStartOver }: { receipt: SavedReceipt; onStartOver: () => void }) {
  const number = useRef<HTMLElement>(null);
  const [copied, setCopied] = useState<"no" | "yes" | "failed">("no");

  useEffect(() => {
    if (copied !== "yes") return;
    const timer = setTimeout(() => setCopied("no"), COPIED_FOR_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = async () => {
    const isCopied = await copyText(receipt.purchaseNo);
    setCopied(isCopied ? "yes" : "failed");
    // Selected, so that the keys of the system copy it.
    if (!isCopied && number.current !== null) getSelection()?.selectAllChildren(number.current);
  };

  return (
    <section className="receipt" data-testid="receipt" aria-label="Your receipt" tabIndex={-1}>
      <dl>
        <div className="receipt-number">
          <dt>Receipt number</dt>
          <dd>
            <code data-testid="purchase-no" ref={number}>
              {receipt.purchaseNo}
            </code>
          </dd>
          <dd className="receipt-copy">
            <button type="button" className="button button-small" onClick={copy}>
              <Icon name={copied === "yes" ? "check" : "copy"} />
              {copied === "yes" ? "Copied" : "Copy"}
            </button>
          </dd>
          {copied === "failed" && (
            <dd className="hint">It is selected: copy it with the keys of your system.</dd>
          )}
        </div>
        <div>
          <dt>Product</dt>
          <dd>{receipt.productName}</dd>
        </div>
        <div>
          <dt>Bought by</dt>
          <dd>{receipt.user}</dd>
        </div>
        <div className="receipt-time">
          <dt>Bought at</dt>
          <dd>
            <time dateTime={receipt.purchasedAt}>{exactMoment(receipt.purchasedAt)}</time>
          </dd>
        </div>
      </dl>
      <button type="button" className="text-button" onClick={onStartOver}>
        Buy as somebody else
      </button>
    </section>
  );
}

/** Whether `text` is in the clipboard now. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http has no clipboard object, and a browser may forbid it; the old way may still work.
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.focus({ preventScroll: true });
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  }
}
