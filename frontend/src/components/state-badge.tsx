import type { Sale } from "../api/types";

type Standing = Pick<Sale, "state" | "endReason" | "paused">;

/** Where a sale stands, in the words of the page. */
export function standingOf({
  state,
  endReason,
  paused,
}: Standing): "Upcoming" | "Live now" | "Paused" | "Sold out" | "Ended" {
  if (state === "ENDED") return endReason === "SOLD_OUT" ? "Sold out" : "Ended";
  if (paused === true) return "Paused";
  return state === "ACTIVE" ? "Live now" : "Upcoming";
}

const TONES = {
  Upcoming: "soon",
  "Live now": "live",
  Paused: "wait",
  "Sold out": "over",
  Ended: "over",
} as const;

export function StateBadge({ sale }: { sale: Standing }) {
  const standing = standingOf(sale);
  return (
    <span className="badge" data-tone={TONES[standing]} data-testid="state">
      {standing}
    </span>
  );
}
