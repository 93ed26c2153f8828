import type { Page } from "@playwright/test";
import { createSale, othersBuy, uniqueSku, uniqueUser } from "./api.ts";
import { expectNoOverflow } from "./checks.ts";
import { shifts, watchShifts } from "./initScripts.ts";
import { expect, test } from "./test.ts";

/** Far below what Web Vitals calls good (0.1). */
const SHIFT_MAX = 0.02;

test.describe("at 360 px", () => {
  test.use({ viewport: { width: 360, height: 740 } });

  test("FE-9 nothing is wider than the screen", async ({ shop, page }) => {
    const name = `Aurora ${"Unbreakable".repeat(12)} ${uniqueSku()}`;
    const [upcoming, sale] = [
      await createSale({ startsIn: 90 * 3_600_000, endsIn: 99 * 3_600_000 }),
      await createSale({ name }),
    ];
    await shop.openList();
    await expect(page.getByRole("link", { name })).toBeVisible();
    await expectNoOverflow(page, "list");
    await shop.open(upcoming);
    await shop.expectButton("Not open yet", false);
    await expectNoOverflow(page, "upcoming");
    await shop.openLive(sale);
    await shop.identifier.fill(" ");
    await shop.button.click();
    await expect(shop.identifier).toHaveAttribute("aria-invalid", "true");
    await expectNoOverflow(page, "active");
    await shop.buyAs(`${uniqueUser()}${"x".repeat(200)}`);
    await shop.expectOutcome("purchased");
    await expectNoOverflow(page, "receipt");
  });
});

for (const viewport of [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
]) {
  test(`FE-9 the layout does not shift from loading to live at ${viewport.width} px`, async ({
    shop,
    page,
  }) => {
    await page.setViewportSize(viewport);
    await watchShifts(page);
    const sale = await createSale({ stock: 200 });
    await shop.openLive(sale);
    await shop.expectButton("Buy now", true);
    // Through 199, 99 and 9: the number gets shorter.
    for (const [bought, left] of [
      [1, 199],
      [100, 99],
      [90, 9],
    ] as const) {
      await othersBuy(sale, bought);
      await shop.expectStock(left, sale);
    }
    await expectNoShift(page);
  });
}

test("FE-9 the layout does not shift when the sale opens", async ({ shop, page }) => {
  await watchShifts(page);
  const sale = await createSale({ startsIn: 4_000 });
  await shop.openLive(sale);
  await shop.expectButton("Buy now", true, 7_000);
  await shop.expectStock(sale.stock, sale);
  await expectNoShift(page);
});

test("FE-9 nothing moves for those who asked for less motion", async ({ shop, page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.addInitScript(() => {
    const moved = new Set<string>();
    Object.assign(window, { moved });
    const look = () => {
      for (const animation of document.getAnimations()) {
        const target = (animation.effect as KeyframeEffect | null)?.target;
        const lasts = Number(animation.effect?.getComputedTiming().activeDuration ?? 0);
        if (animation.playState === "running" && lasts > 20)
          moved.add(target?.outerHTML.slice(0, 120) ?? "?");
      }
      requestAnimationFrame(look);
    };
    look();
  });
  const sale = await createSale({ stock: 20 });
  await shop.openList();
  await expect(page.getByRole("link", { name: sale.name })).toBeVisible();
  await shop.openLive(sale);
  await othersBuy(sale, 10);
  await shop.expectStock(10, sale);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  await shop.expectStock(9, sale);
  expect(await page.evaluate(() => [...(window as unknown as { moved: Set<string> }).moved])).toEqual([]);
});

test("FE-9 follows the colour scheme of the system", async ({ shop, page }) => {
  const sale = await createSale();
  const backgrounds: number[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await shop.open(sale);
    backgrounds.push(await page.evaluate(brightness));
  }
  expect(backgrounds[0]).toBeGreaterThan(0.8);
  expect(backgrounds[1]).toBeLessThan(0.2);
});

async function expectNoShift(page: Page): Promise<void> {
  const seen = await shifts(page);
  const total = seen.reduce((sum, shift) => sum + shift.value, 0);
  expect(total, JSON.stringify(seen, null, 2)).toBeLessThan(SHIFT_MAX);
}

/** Of the page's background, from 0 to 1, by painting it: a computed colour may be in any notation. */
function brightness(): number {
  const colours = [document.body, document.documentElement].map(
    (one) => getComputedStyle(one).backgroundColor,
  );
  const colour = colours.find((one) => one !== "rgba(0, 0, 0, 0)") ?? "white";
  const canvas = document.createElement("canvas").getContext("2d");
  if (canvas === null) return Number.NaN;
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red = 0, green = 0, blue = 0] = canvas.getImageData(0, 0, 1, 1).data;
  return (red + green + blue) / 3 / 255;
}
