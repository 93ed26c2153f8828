import type { Page } from "@playwright/test";

// What is put into a page before its own scripts run. Playwright does that past the content security policy.

/** The browser's clock is off by so much. */
export async function skewClock(page: Page, ms: number): Promise<void> {
  await page.addInitScript((ms) => {
    const now = () => RealDate.now() + ms;
    const RealDate = Date;
    globalThis.Date = new Proxy(RealDate, {
      construct: (target, args) => Reflect.construct(target, args.length === 0 ? [now()] : args),
      apply: () => new RealDate(now()).toString(),
      get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
    });
    Object.defineProperty(performance, "timeOrigin", { value: performance.timeOrigin + ms });
  }, ms);
}

/** Whatever is drawn at random comes out as this share of its range, from 0 to 1. */
export async function loadDice(page: Page, share: number): Promise<void> {
  await page.addInitScript((share) => {
    Math.random = () => Math.min(share, 0.999_999);
    Crypto.prototype.getRandomValues = <T extends ArrayBufferView | null>(array: T): T => {
      if (array)
        new Uint8Array(array.buffer, array.byteOffset, array.byteLength).fill(Math.round(share * 255));
      return array;
    };
  }, share);
}

/** Storage that the browser refuses, as with cookies forbidden. */
export async function forbidStorage(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const refuse = () => {
      throw new DOMException("The operation is insecure.", "SecurityError");
    };
    Object.defineProperty(window, "localStorage", { get: refuse });
    Object.defineProperty(window, "sessionStorage", { get: refuse });
  });
}

/** Keeps every text (or value of an attribute) that the element shows from the first on; read it with {@link history}. */
export async function keepHistory(page: Page, selector: string, attribute?: string): Promise<void> {
  await page.addInitScript(
    ({ selector, attribute }) => {
      const kept: string[] = [];
      Object.assign(window, { [`history of ${selector}`]: kept });
      const look = () => {
        const element = document.querySelector(selector);
        const value = attribute === undefined ? element?.textContent : element?.getAttribute(attribute);
        if (value !== null && value !== undefined && value !== kept.at(-1)) kept.push(value);
      };
      new MutationObserver(look).observe(document, {
        subtree: true,
        childList: true,
        characterData: true,
        attributes: true,
      });
    },
    { selector, attribute },
  );
}

/** What {@link keepHistory} has kept. */
export function history(page: Page, selector: string): Promise<string[]> {
  return page.evaluate(
    (name) => (window as unknown as Record<string, string[]>)[name] ?? [],
    `history of ${selector}`,
  );
}

/** A shift of the layout that no input explains. */
export interface Shift {
  value: number;
  moved: string[];
}

/** Watches for shifts of the layout; read them with {@link shifts}. */
export async function watchShifts(page: Page): Promise<void> {
  await page.addInitScript(() => {
    type Entry = PerformanceEntry & {
      value: number;
      hadRecentInput: boolean;
      sources: { node: Node | null }[];
    };
    const kept: Shift[] = [];
    Object.assign(window, { shifts: kept });
    const nameOf = (node: Node | null) =>
      node instanceof Element ? node.outerHTML.slice(0, 120) : (node?.textContent ?? "?").slice(0, 60);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as Entry[]) {
        if (!entry.hadRecentInput)
          kept.push({ value: entry.value, moved: entry.sources.map((one) => nameOf(one.node)) });
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
}

/** What {@link watchShifts} has seen. */
export function shifts(page: Page): Promise<Shift[]> {
  return page.evaluate(() => (window as unknown as { shifts: Shift[] }).shifts);
}

/** Clicks the button in the first frame in which it can be clicked, and tells when, in ms since the epoch. */
export function clickOnceEnabled(page: Page, name: string): Promise<number> {
  return page.evaluate(
    (name) =>
      new Promise<number>((clicked) => {
        const look = () => {
          const button = [...document.querySelectorAll("button")].find(
            (one) => one.textContent?.trim() === name,
          );
          if (!button || button.disabled || button.getAttribute("aria-disabled") === "true") {
            requestAnimationFrame(look);
            return;
          }
          clicked(Date.now());
          button.click();
        };
        look();
      }),
    name,
  );
}
