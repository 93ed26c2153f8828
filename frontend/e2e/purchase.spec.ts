import { buy, createSale, receiptOf, uniqueUser, unitsSold } from "./api.ts";
import { forbidStorage } from "./initScripts.ts";
import { expect, test } from "./test.ts";

test("FE-4 PR-1 a purchase shows the receipt that the server has", async ({ shop }) => {
  const sale = await createSale({ stock: 5 });
  const user = uniqueUser();
  await shop.open(sale);
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  const receipt = await receiptOf(sale, user);
  await expect(shop.purchaseNo).toHaveText(receipt?.purchaseNo ?? "none");
  await expect(shop.receipt).toContainText(sale.name);
  expect(shop.posts).toHaveLength(1);
  expect(shop.posts[0]).toMatchObject({ user, body: { sku: sale.sku } });
  expect(shop.posts[0]?.key).toMatch(/^[\x21-\x7e]{16,255}$/);
  expect(await unitsSold(sale)).toBe(1);
});

test("FE-5 a blank identifier never reaches the server", async ({ shop }) => {
  const sale = await createSale();
  await shop.open(sale);
  for (const blank of ["", "   ", "\t \u00a0"]) {
    await shop.identifier.fill(blank);
    await shop.button.click();
    await expect(shop.identifier).toHaveAttribute("aria-invalid", "true");
    await expect(shop.identifier).toHaveAccessibleDescription(/\S/);
    await expect(shop.identifier).toBeFocused();
  }
  await expectOnlyPost(shop, uniqueUser());
});

test("FE-5 an identifier that is too long or has control characters never reaches the server", async ({
  shop,
}) => {
  const sale = await createSale();
  await shop.open(sale);
  for (const bad of ["a".repeat(256), "bell\u0007", "del\u007f"]) {
    await shop.identifier.fill(bad);
    await shop.identifier.press("Enter");
    await expect(shop.identifier).toHaveAttribute("aria-invalid", "true");
    await expect(shop.identifier).toHaveAccessibleDescription(/\S/);
    await expect(shop.identifier).toBeFocused();
  }
  await expectOnlyPost(shop, uniqueUser());
});

test("FE-5 the longest identifier is taken, trimmed", async ({ shop }) => {
  const sale = await createSale();
  const user = uniqueUser().padEnd(255, "x");
  await shop.open(sale);
  await shop.buyAs(`  ${user} `);
  await shop.expectOutcome("purchased");
  expect(shop.posts.map((post) => post.user)).toEqual([user]);
});

test("FE-4 identifiers of any alphabet buy", async ({ shop }) => {
  const sale = await createSale();
  const user = `Zoë Łukasz 山田 🦊 ${uniqueUser()}`;
  await shop.open(sale);
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  const receipt = await receiptOf(sale, user);
  await expect(shop.purchaseNo).toHaveText(receipt?.purchaseNo ?? "none");
});

test("the identifier is remembered", async ({ shop }) => {
  const [sale, next] = [await createSale(), await createSale()];
  const user = uniqueUser();
  await shop.open(sale);
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  await shop.open(next);
  await expect(shop.identifier).toHaveValue(user);
});

test("somebody else can buy on the same page", async ({ shop }) => {
  const sale = await createSale({ stock: 5 });
  const [first, second] = [uniqueUser(), uniqueUser()];
  await shop.open(sale);
  await shop.buyAs(first);
  await shop.expectOutcome("purchased");
  await shop.page.getByText("Buy as somebody else").click();
  await expect(shop.receipt).toBeHidden();
  await shop.buyAs(second);
  await shop.expectOutcome("purchased");
  await expect(shop.purchaseNo).toHaveText((await receiptOf(sale, second))?.purchaseNo ?? "none");
  expect(await unitsSold(sale)).toBe(2);
});

test("FE-6 another tab of the same browser shows the purchase as well", async ({ shop, context }) => {
  const sale = await createSale();
  await shop.open(sale);
  const tab = await context.newPage();
  await tab.goto(shop.page.url());
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  const number = await shop.purchaseNo.textContent();
  await expect(tab.getByTestId("purchase-no")).toHaveText(number ?? "none");
});

test("FE-4 a browser that forbids storage buys all the same", async ({ shop }) => {
  await forbidStorage(shop.page);
  const sale = await createSale();
  await shop.openLive(sale);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  await expect(shop.receipt).toBeVisible();
});

test("FE-4 rubbish in the storage is ignored", async ({ shop }) => {
  const sale = await createSale();
  await shop.open(sale);
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
  for (const rubbish of ["{", "null", "[]", '{"sku":1,"user":{},"key":[]}']) {
    await shop.page.evaluate((rubbish) => {
      for (const key of Object.keys(localStorage)) localStorage.setItem(key, rubbish);
    }, rubbish);
    await shop.page.reload();
    await expect(shop.name).toHaveText(sale.name);
    await expect(shop.state).toHaveText("Live now");
  }
  // It may be kept or dropped where it could be a name; the page works either way.
  await shop.page.evaluate(() => localStorage.clear());
  await shop.page.reload();
  await shop.buyAs(uniqueUser());
  await shop.expectOutcome("purchased");
});

test.describe("on a phone", () => {
  test.use({
    viewport: { width: 412, height: 839 },
    deviceScaleFactor: 2.625,
    isMobile: true,
    hasTouch: true,
  });

  test("FE-9 a shopper finds the sale in the list and buys by touch", async ({ shop }) => {
    const sale = await createSale({ stock: 9 });
    await buy(sale);
    await shop.openList();
    await shop.page.getByTestId("sales").getByRole("link", { name: sale.name }).tap();
    await expect(shop.name).toHaveText(sale.name);
    await shop.expectStock(8, sale, 5_000);
    await shop.identifier.tap();
    await shop.page.keyboard.type(uniqueUser());
    await shop.button.tap();
    await shop.expectOutcome("purchased");
    await expect(shop.receipt).toBeInViewport({ ratio: 0.3 });
    await shop.expectStock(7, sale);
  });
});

/** Whatever was to be sent earlier would have been sent by now. */
async function expectOnlyPost(shop: import("./shop.ts").Shop, user: string): Promise<void> {
  await shop.buyAs(user);
  await shop.expectOutcome("purchased");
  expect(shop.posts.map((post) => post.user)).toEqual([user]);
}
