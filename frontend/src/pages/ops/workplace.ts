import { createContext, use } from "react";
import type { OpsClient } from "../../api/ops-client";
import type { LagHistory } from "./live/lag-history";

/** What every view works with, as long as somebody is signed in. */
export interface Workplace {
  ops: OpsClient;
  lag: LagHistory;
}

export const WorkplaceContext = createContext<Workplace | undefined>(undefined);

export function useWorkplace(): Workplace {
  const workplace = use(WorkplaceContext);
  if (workplace === undefined) throw new Error("a view of the console is outside of it");
  return workplace;
}
