/** The admin key of who sits here: in memory, and in the tab's own storage if so wished. */

import { isRecord } from "../../../api/client";
import type { OpsAccess } from "../../../api/ops-client";

export interface KeyRingState {
  /** None: nobody has signed in. */
  access: OpsAccess | undefined;
  /** The service did not take the key that was here. */
  isRefused: boolean;
  /** Who acted last, to be offered again. */
  operator: string;
}

const NAME = "flashsale.ops";

export class KeyRing {
  readonly #listeners = new Set<() => void>();
  #state: KeyRingState;

  constructor() {
    const access = stored();
    this.#state = { access, isRefused: false, operator: access?.operator ?? "" };
  }

  readonly getState = (): KeyRingState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Takes a key that the service has taken; `isKept` until this tab closes, else until the page does. */
  take(access: OpsAccess, isKept: boolean): void {
    if (isKept) store(access);
    else clear();
    this.#update({ access, isRefused: false, operator: access.operator });
  }

  forget(): void {
    clear();
    this.#update({ access: undefined, isRefused: false, operator: "" });
  }

  /** The service refuses `access`; nothing happens when another is in use by now. */
  refuse(access: OpsAccess): void {
    if (this.#state.access !== access) return;
    clear();
    this.#update({ access: undefined, isRefused: true, operator: access.operator });
  }

  #update(state: KeyRingState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

function stored(): OpsAccess | undefined {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
    if (!isRecord(value)) return undefined;
    const { key, operator } = value;
    return typeof key === "string" && typeof operator === "string" ? { key, operator } : undefined;
  } catch {
    return undefined;
  }
}

function store(access: OpsAccess): void {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(access));
  } catch {
    // Then it stays in memory.
  }
}

function clear(): void {
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // There is nothing in it either.
  }
}
