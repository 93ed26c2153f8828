import type { ReactNode } from "react";
import { Icon } from "./icon";

/** What is around every page. `back` is the link above the content. */
export function PageFrame({
  back,
  children,
}: {
  back?: { href: string; text: string };
  children: ReactNode;
}) {
  return (
    <>
      <header className="frame-header">
        <a className="brand" href="/">
          <Icon name="bolt" />
          Flashsale
        </a>
        {back !== undefined && (
          <a className="back" href={back.href}>
            {back.text}
          </a>
        )}
      </header>
      <main className="frame-main">{children}</main>
      <footer className="frame-footer">
        Limited stock, one unit a person. Times follow the shop’s clock.
      </footer>
    </>
  );
}
