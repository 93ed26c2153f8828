import { createSale, deleteSale, receiptOf, uniqueUser, waitForUserLimit } from "./api.ts";
import { expect, test } from "./test.ts";

test("FE-6 the receipt is still there after a reload, at once and verified", async ({ shop }) => {
  const sale = await createSale({ stock: 5 });
  const user = uniqueUser();
  await shop.open(sale);
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  const number = (await shop.purchaseNo.textContent()) ?? "none";

  // Shown from the storage: the server's word is held back until then.
  let verify = () => {};
  const shown = new Promise<void>((done) => {
    verify = done;
  });
  await shop.page.route("**/api/v1/purchases?sku=*", async (route) => {
    await shown;
    await route.continue();
  });
  const verified = shop.page.waitForResponse((answer) => answer.url().includes("/api/v1/purchases?sku="));
  await shop.page.reload();
  await expect(shop.purchaseNo).toHaveText(number);
  verify();
  expect((await verified).status()).toBe(200);
  await expect(shop.purchaseNo).toHaveText(number);
  expect((await receiptOf(sale, user))?.purchaseNo).toBe(number);
  expect(shop.posts, "a reload buys nothing").toHaveLength(1);
});

test("FE-6 the receipt stays when the sale is over", async ({ shop }) => {
  const sale = await createSale({ stock: 1 });
  await shop.openLive(sale);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  await expect(shop.state).toHaveText("Sold out");
  const number = (await shop.purchaseNo.textContent()) ?? "none";
  await shop.page.reload();
  await expect(shop.state).toHaveText("Sold out");
  await expect(shop.purchaseNo).toHaveText(number);
});

test("FE-6 the number can be copied", async ({ shop, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const sale = await createSale();
  await shop.open(sale);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  await shop.page.getByRole("button", { name: "Copy" }).click();
  await expect(shop.page.getByRole("button", { name: "Copied" })).toBeVisible();
  expect(await shop.page.evaluate(() => navigator.clipboard.readText())).toBe(
    await shop.purchaseNo.textContent(),
  );
});

test("FE-6 a receipt that cannot be verified now is kept", async ({ shop }) => {
  const sale = await createSale();
  await shop.open(sale);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  const number = (await shop.purchaseNo.textContent()) ?? "none";
  // The stack answers; the connection of just this request fails.
  await shop.page.route("**/api/v1/purchases?sku=*", (route) => route.abort("connectionreset"));
  const failed = shop.page.waitForEvent("requestfailed", (request) =>
    request.url().includes("/api/v1/purchases?sku="),
  );
  await shop.page.reload();
  await failed;
  await expect(shop.state).toHaveText("Live now");
  await expect(shop.purchaseNo).toHaveText(number);
});

test("FE-6 a receipt of a sale that is no more is removed", async ({ shop }) => {
  const sale = await createSale();
  const user = uniqueUser();
  await shop.open(sale);
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  const bought = Date.now();
  const number = (await shop.purchaseNo.textContent()) ?? "none";
  await deleteSale(sale.sku);
  await createSale({ sku: sale.sku, name: sale.name });

  await shop.page.reload();
  await expect(shop.receipt).toBeHidden();
  await shop.expectButton("Buy now", true);
  await waitForUserLimit(bought);
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  await expect(shop.purchaseNo).toHaveText((await receiptOf(sale, user))?.purchaseNo ?? "none");
  await expect(shop.purchaseNo).not.toHaveText(number);
});
