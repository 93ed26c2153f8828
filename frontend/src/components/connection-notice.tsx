import { Icon } from "./icon";

const TEXTS = {
  connecting: undefined,
  live: undefined,
  polling: "Live updates are interrupted. Showing the latest every 2 seconds.",
  offline: "Connection lost. Trying again…",
} as const;

/** FE-7: always there, so that its coming is announced; visible only when something is wrong. */
export function ConnectionNotice({ connection }: { connection: keyof typeof TEXTS }) {
  const text = TEXTS[connection];
  return (
    <div className="connection" role="status" data-testid="connection" data-connection={connection}>
      {text !== undefined && (
        <p>
          <Icon name={connection === "offline" ? "cloudOff" : "info"} />
          {text}
        </p>
      )}
    </div>
  );
}
