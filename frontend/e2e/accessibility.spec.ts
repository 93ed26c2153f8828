import type { Page } from "@playwright/test";
import { createSale, othersBuy, uniqueUser } from "./api.ts";
import { expectAccessible, installAxe } from "./checks.ts";
import { expect, test } from "./test.ts";

for (const colorScheme of ["light", "dark"] as const) {
  test(`FE-9 has no serious violation in any state, ${colorScheme}`, async ({ shop, page }) => {
    await installAxe(page);
    // Colours are judged where they end, not on their way there.
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const [upcoming, sale] = [await createSale({ startsIn: 600_000 }), await createSale({ stock: 3 })];
    await shop.openList();
    await expect(page.getByTestId("sales").getByRole("link", { name: sale.name })).toBeVisible();
    await expectAccessible(page, "list");

    await shop.open(upcoming);
    await shop.expectButton("Not open yet", false);
    await expectAccessible(page, "upcoming");

    await shop.openLive(sale);
    await shop.expectButton("Buy now", true);
    await expectAccessible(page, "active");

    await shop.button.click();
    await expect(shop.identifier).toHaveAttribute("aria-invalid", "true");
    await expectAccessible(page, "invalid");

    await shop.buyAs(uniqueUser());
    await shop.expectOutcome("purchased");
    await expectAccessible(page, "receipt");

    await othersBuy(sale, 2);
    await expect(shop.state).toHaveText("Sold out");
    await expectAccessible(page, "receipt, sold out");

    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await shop.expectButton("Sold out", false);
    await expectAccessible(page, "sold out");

    await page.goto(page.url().replace(/sku=.*/, "sku=NO-SUCH"));
    await expect(page.getByRole("heading", { name: "No such sale" })).toBeVisible();
    await expectAccessible(page, "unknown");
  });
}

test("FE-9 one can buy by the keyboard alone, and sees where one is", async ({ shop, page }) => {
  const sale = await createSale({ stock: 5 });
  await shop.openList();
  const card = page.getByTestId("sales").getByRole("link", { name: sale.name });
  await expect(card).toBeVisible();
  await tabTo(page, `a[href*="${sale.sku}"]`, 150);
  await page.keyboard.press("Enter");
  await expect(shop.name).toHaveText(sale.name);

  await shop.expectButton("Buy now", true);
  await tabTo(page, "input", 20);
  await expect(shop.identifier).toBeFocused();
  await page.keyboard.type(uniqueUser());
  await tabTo(page, "button", 5);
  await expect(shop.button).toBeFocused();
  await page.keyboard.press("Space");
  await shop.expectOutcome("purchased");
  // Whoever cannot see the page is not thrown back to its beginning.
  await tabTo(page, "button", 10);
  await expect(page.getByRole("button", { name: "Copy" })).toBeFocused();
});

test("FE-9 the Enter key in the input buys", async ({ shop }) => {
  const sale = await createSale();
  await shop.open(sale);
  await shop.identifier.fill(uniqueUser());
  await shop.expectButton("Buy now", true);
  await shop.identifier.press("Enter");
  await shop.expectOutcome("purchased");
  expect(shop.posts).toHaveLength(1);
});

test("FE-9 neither seconds nor stock are read out one by one", async ({ shop, page }) => {
  const sale = await createSale();
  await shop.openLive(sale);
  await expect(shop.countdown).toHaveAttribute("aria-live", "off");
  const announced = page.locator("[aria-live=polite], [aria-live=assertive], [role=status], [role=alert]");
  await expect(announced.filter({ has: shop.countdown })).toHaveCount(0);
  await expect(announced.filter({ has: page.getByTestId("stock") })).toHaveCount(0);
});

/** Presses Tab until the focus is on an element like this, and checks that each stop on the way can be seen. */
async function tabTo(page: Page, selector: string, presses: number): Promise<void> {
  for (let pressed = 0; pressed < presses; pressed += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate((selector) => {
      const element = document.activeElement;
      if (element === null || element === document.body) return { there: false, seen: true, html: "" };
      const style = getComputedStyle(element);
      const seen =
        (style.outlineStyle !== "none" && style.outlineWidth !== "0px") || style.boxShadow !== "none";
      return { there: element.matches(selector), seen, html: element.outerHTML.slice(0, 100) };
    }, selector);
    expect(stop.seen, `the focus can be seen on ${stop.html}`).toBe(true);
    if (stop.there) return;
  }
  throw new Error(`${selector} was not reached by ${presses} presses of Tab`);
}
