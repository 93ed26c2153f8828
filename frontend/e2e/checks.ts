import { createRequire } from "node:module";
import { expect, type Page } from "@playwright/test";
import type { AxeResults } from "axe-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Makes {@link expectAccessible} possible in what is loaded from now on. */
export async function installAxe(page: Page): Promise<void> {
  // As an init script it runs past the content security policy, which stays as it is.
  await page.addInitScript({ path: AXE });
}

/** Looks for violations in what the page shows now. */
export async function expectAccessible(page: Page, what: string): Promise<void> {
  const results: AxeResults = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"] }),
  );
  const grave = results.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`,
  );
  expect(told, what).toEqual([]);
}

/** Nothing makes the page wider than the screen. */
export async function expectNoOverflow(page: Page, what: string): Promise<void> {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const isWide = (element: Element) => element.getBoundingClientRect().right > width + 0.5;
    const culprits = [...document.body.querySelectorAll("*")]
      .filter(isWide)
      .map((one) => one.outerHTML.slice(0, 100));
    return document.documentElement.scrollWidth > width ? culprits.concat("the page scrolls") : [];
  });
  expect(wide, what).toEqual([]);
}

declare global {
  interface Window {
    axe: typeof import("axe-core");
  }
}
