import { type ReactNode, useEffect } from "react";

/** The title of a view, which takes the focus when one comes to it, and what can be done in all of it. */
export function ViewHead({ title, children }: { title: string; children?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} – Flashsale console`;
  }, [title]);
  return (
    <div className="ops-head">
      <h1 tabIndex={-1}>{title}</h1>
      {children !== undefined && <div className="ops-buttons">{children}</div>}
    </div>
  );
}
