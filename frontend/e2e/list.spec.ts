import { createSale, othersBuy, uniqueSku } from "./api.ts";
import { sharedStack } from "./stack.ts";
import { expect, test } from "./test.ts";

/** The list is asked for every 5 s. */
const LISTED_WITHIN_MS = 8_000;

test("two sales are told apart in the list and lead to their pages", async ({ shop, page }) => {
  const [active, upcoming] = [await createSale({ stock: 40 }), await createSale({ startsIn: 600_000 })];
  await othersBuy(active, 3);
  await shop.openList();
  const cards = page.getByTestId("sales").getByRole("link");
  const [first, second] = [cards.filter({ hasText: active.name }), cards.filter({ hasText: upcoming.name })];
  await expect(first).toContainText("Live now");
  await expect(first).toContainText("37");
  await expect(second).toContainText("Upcoming");
  await expect(second).toContainText("Starts in");

  await first.click();
  await expect(shop.name).toHaveText(active.name);
  await shop.expectStock(37, active, 5_000);
  await page.goBack();
  await cards.filter({ hasText: upcoming.name }).click();
  await expect(shop.name).toHaveText(upcoming.name);
  await expect(shop.state).toHaveText("Upcoming");
});

test("the list shows new sales and new states without a reload", async ({ shop, page }) => {
  const first = await createSale({ stock: 1 });
  await shop.openList();
  const sales = page.getByTestId("sales");
  await expect(sales.getByRole("link", { name: first.name })).toContainText("Live now");
  const second = await createSale();
  await othersBuy(first, 1);
  await expect(sales.getByRole("link", { name: second.name })).toBeVisible({ timeout: LISTED_WITHIN_MS });
  await expect(sales.getByRole("link", { name: first.name })).toContainText("Sold out", {
    timeout: LISTED_WITHIN_MS,
  });
});

test("a sale leads back to the list", async ({ shop, page }) => {
  const sale = await createSale();
  await shop.open(sale);
  await page.locator('a[href="/"]').first().click();
  await expect(page.getByTestId("sales")).toBeVisible();
  await expect(page.getByRole("link", { name: sale.name })).toBeVisible();
});

test("an unknown SKU is told as such, and shows the sale once there is one", async ({ page }) => {
  const sku = uniqueSku();
  await page.goto(`${sharedStack().url}/?sku=${sku}`);
  await expect(page.getByRole("heading", { name: "No such sale" })).toBeVisible();
  await expect(page.locator('a[href="/"]').first()).toBeVisible();
  const sale = await createSale({ sku });
  await page.reload();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(sale.name);
});

test("a SKU that cannot be one is no such sale either", async ({ page }) => {
  await page.goto(`${sharedStack().url}/?sku=${encodeURIComponent("<b>../%")}`);
  await expect(page.getByRole("heading", { name: "No such sale" })).toBeVisible();
});

test("the page comes with a strict policy, and its files are cached for good", async ({ page, request }) => {
  const answer = await request.get(`${sharedStack().url}/`);
  const directives = (answer.headers()["content-security-policy"] ?? "").split(";").map((one) => one.trim());
  expect(new Set(directives.filter(Boolean))).toEqual(
    new Set([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "connect-src 'self'",
      "worker-src 'self'",
      "font-src 'self'",
      "manifest-src 'self'",
      "base-uri 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
    ]),
  );
  expect(answer.headers()["cache-control"]).toContain("no-cache");
  const script = page.waitForResponse((one) => one.request().resourceType() === "script");
  await page.goto(`${sharedStack().url}/`);
  expect((await script).headers()["cache-control"]).toContain("immutable");
});
