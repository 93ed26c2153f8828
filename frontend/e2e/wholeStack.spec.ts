import { allSkus, createSale, deleteSale, uniqueUser, unitsSold } from "./api.ts";
import { sharedStack, startStack, stopStack } from "./stack.ts";
import { expect, test } from "./test.ts";

// These change the stack for everybody, so they run after all others, one after the other.
test.describe.configure({ mode: "serial" });

const BACK_WITHIN_MS = 20_000;

test("T-11 FE-7 FE-8 an open page outlives a restart of the service, and buys after it", async ({
  shop,
  page,
}) => {
  test.setTimeout(120_000);
  const sale = await createSale({ stock: 5 });
  await shop.openLive(sale);
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));
  await stopStack(sharedStack());
  await shop.expectConnection("offline", 10_000);
  await expect(shop.connection).toContainText("Connection lost");
  await expect(shop.name).toHaveText(sale.name);

  // Bought while it is down: the attempt goes on until somebody answers.
  const user = uniqueUser();
  await shop.buyAs(user);
  await expect.poll(() => shop.posts.length).toBeGreaterThan(0);
  await startStack(sharedStack());
  await expect(shop.outcome).toHaveAttribute("data-outcome", /^(purchased|unknown)$/, { timeout: 60_000 });
  if ((await shop.outcome.getAttribute("data-outcome")) === "unknown") {
    await page.getByRole("button", { name: "Check again" }).click();
  }
  await shop.expectOutcome("purchased", 15_000);
  expect(new Set(shop.posts.map((post) => post.key)).size).toBe(1);
  expect(await unitsSold(sale)).toBe(1);
  await shop.expectConnection("live", BACK_WITHIN_MS);
  await shop.expectStock(4, sale, 5_000);
  expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
});

test("an installation without a sale says how to make one", async ({ shop, page }) => {
  test.setTimeout(60_000);
  const sale = await createSale();
  await shop.openList();
  await expect(page.getByRole("link", { name: sale.name })).toBeVisible();
  for (const sku of await allSkus()) await deleteSale(sku);
  await expect(page.getByRole("heading", { name: "No sale yet" })).toBeVisible({ timeout: 15_000 });
  await expect(page.getByText("flashsale sale create")).toBeVisible();
  const first = await createSale();
  await expect(page.getByRole("link", { name: first.name })).toBeVisible({ timeout: 15_000 });
});
