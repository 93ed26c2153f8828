import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { type BrowserContextOptions, devices } from "@playwright/test";
import { createSale, deleteSale, othersBuy, type TestSale } from "./api.ts";
import { expect, test } from "./test.ts";

const FOLDER = resolve(import.meta.dirname, "../../docs/pictures");
const SOLD = 187;

const PICTURES: [name: string, size: { width: number; height: number }, options: BrowserContextOptions][] = [
  ["shop-light", { width: 1280, height: 800 }, { colorScheme: "light" }],
  ["shop-dark", { width: 1280, height: 800 }, { colorScheme: "dark" }],
];

let sale: TestSale;

test.beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  // 2 h 47 min from now, so that the countdown looks like that of a sale under way.
  const wish = { sku: "AURORA", name: "Aurora wireless headphones", stock: 500, endsIn: 10_020_000 };
  sale = await createSale(wish);
  await othersBuy(sale, SOLD);
});

test.afterAll(() => deleteSale(sale.sku));

for (const [name, viewport, options] of PICTURES) {
  test(`picture ${name}`, async ({ newShop }) => {
    const shop = await newShop({ viewport, reducedMotion: "reduce", locale: "en-GB", ...options });
    await shop.openLive(sale);
    await shop.expectStock(sale.stock - SOLD, sale);
    await shop.identifier.fill("alice@example.com");
    await shop.identifier.blur();
    await shop.page.screenshot({ path: `${FOLDER}/${name}.png` });
  });
}

test("picture shop-phone", async ({ newShop }) => {
  const phone = { ...devices["iPhone 13"], viewport: { width: 390, height: 844 } };
  const shop = await newShop({ ...phone, deviceScaleFactor: 2, reducedMotion: "reduce", locale: "en-GB" });
  await shop.openLive(sale);
  await shop.buyAs("alice@example.com");
  await shop.expectOutcome("purchased");
  await expect(shop.receipt).toBeVisible();
  await shop.expectStock(sale.stock - SOLD - 1, sale);
  await shop.state.evaluate((badge) => scrollTo(0, badge.getBoundingClientRect().top + scrollY - 16));
  await shop.page.screenshot({ path: `${FOLDER}/shop-phone.png` });
});
