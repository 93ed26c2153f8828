/**
 * What the browser remembers between visits. A browser may forbid that, or be full: then it is remembered until
 * the page closes.
 */

const here = new Map<string, string>();

export function recall(name: string): string | undefined {
  try {
    return localStorage.getItem(name) ?? here.get(name);
  } catch {
    return here.get(name);
  }
}

export function remember(name: string, text: string): void {
  try {
    localStorage.setItem(name, text);
    here.delete(name);
  } catch {
    here.set(name, text);
  }
}

export function forget(name: string): void {
  here.delete(name);
  try {
    localStorage.removeItem(name);
  } catch {
    // There is nothing in it either.
  }
}

/** Calls `changed` when another tab changes `name`, until `signal`. */
export function onRemembered(name: string, changed: () => void, signal: AbortSignal): void {
  // No name: everything was cleared.
  const listen = (event: StorageEvent) => {
    if (event.key === name || event.key === null) changed();
  };
  window.addEventListener("storage", listen, { signal });
}
