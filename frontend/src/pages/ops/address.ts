/** What the address says: which view, and how it is filtered and sorted. */

import { useSyncExternalStore } from "react";

export const VIEWS = {
  overview: "Overview",
  consumers: "Consumers",
  topics: "Topics",
  "dead-letters": "Dead letters",
  sales: "Sales",
  reconciliations: "Reconciliations",
  acts: "Acts",
} as const;

export type View = keyof typeof VIEWS;

const PATH = "/ops";

const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

/** The parameters of the address, as they are now. */
export function useParams(): URLSearchParams {
  const search = useSyncExternalStore(subscribe, () => location.search);
  return new URLSearchParams(search);
}

export function viewOf(params: URLSearchParams): View {
  const name = params.get("view") ?? "";
  return isView(name) ? name : "overview";
}

/** Which page of the console it is: a view, or what it shows one of. */
export function placeOf(params: URLSearchParams): string {
  return [viewOf(params), params.get("topic"), params.get("report")].join(" ");
}

function isView(name: string): name is View {
  return Object.hasOwn(VIEWS, name);
}

/** The address of a view. Never with the key in it. */
export function hrefOf(view: View, params: Record<string, string> = {}): string {
  return `${PATH}?${new URLSearchParams({ view, ...params })}`;
}

/** Goes to an address within the console, so that "back" leads here again. */
export function go(href: string): void {
  history.pushState(null, "", href);
  tell();
}

/** Changes some parameters; an empty one goes. `replace` for what is not worth a step back. */
export function changeParams(changes: Record<string, string>, how: "push" | "replace" = "push"): void {
  const params = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") params.delete(name);
    else params.set(name, value);
  }
  const href = `${PATH}?${params}`;
  if (how === "push") history.pushState(null, "", href);
  else history.replaceState(null, "", href);
  tell();
}

function tell(): void {
  for (const listener of listeners) listener();
}
