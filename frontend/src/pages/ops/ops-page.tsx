import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { KeyRing } from "./access/key-ring";
import { SignIn } from "./access/sign-in";
import { Console } from "./console";
import "./ops.css";
import "./tables.css";

/** The operators' console: first the key, then the views. */
export function OpsPage() {
  const [ring] = useState(() => new KeyRing());
  const { access, isRefused, operator } = useSyncExternalStore(ring.subscribe, ring.getState);
  const page = useRef<HTMLDivElement>(null);
  const shown = useRef(access);

  useEffect(() => {
    if (shown.current === access) return;
    shown.current = access;
    // What had the focus is gone.
    const inputs = page.current?.querySelectorAll<HTMLInputElement>("main input") ?? [];
    const title = page.current?.querySelector<HTMLElement>("main h1");
    const target = access === undefined ? [...inputs].find(({ value }) => value === "") : title;
    target?.focus();
  }, [access]);

  return (
    <div className="ops" ref={page}>
      {access === undefined ? (
        <SignIn ring={ring} isRefused={isRefused} operator={operator} />
      ) : (
        <Console access={access} onRefused={() => ring.refuse(access)} onForget={() => ring.forget()} />
      )}
    </div>
  );
}
