import { useState, useSyncExternalStore } from "react";
import { KeyRing } from "./access/key-ring";
import { SignIn } from "./access/sign-in";
import { Console } from "./console";
import "./ops.css";
import "./tables.css";

/** The operators' console: first the key, then the views. */
export function OpsPage() {
  const [ring] = useState(() => new KeyRing());
  const { access, isRefused, operator } = useSyncExternalStore(ring.subscribe, ring.getState);
  return (
    <div className="ops">
      {access === undefined ? (
        <SignIn ring={ring} isRefused={isRefused} operator={operator} />
      ) : (
        <Console access={access} onRefused={() => ring.refuse(access)} onForget={() => ring.forget()} />
      )}
    </div>
  );
}
