import { ADMIN_KEY, buy, createSale, operate, othersBuy, saleStatus, uniqueSku, unitsSold } from "./api.ts";
import { expectAccessible, expectNoOverflow, installAxe } from "./checks.ts";
import { DECISIONS, poison, SINK, VIEWS } from "./ops.ts";
import { expect, test } from "./test.ts";

/** What happened is in the log at once, and in the console's next answer but one. */
const SHOWN_WITHIN_MS = 10_000;
/** An order goes through the log to the consumer, and what it did comes back by the group. */
const OBEYED_WITHIN_MS = 20_000;

test("a wrong key is told, the right one opens the console, and it is in no address", async ({
  ops,
  page,
}) => {
  const addresses: string[] = [];
  page.on("request", (request) => addresses.push(request.url()));
  await ops.goto("acts");
  await ops.signIn("not-the-admin-key-0000");
  await expect(ops.signInFault).toHaveText("This is not the admin key.");
  await expect(page.getByLabel("Admin key")).toBeFocused();
  await ops.signIn();
  await expect(ops.title).toHaveText("Acts");
  await page.reload();
  await expect(ops.title).toHaveText("Acts");
  expect(addresses.concat(page.url()).filter((address) => address.includes(ADMIN_KEY))).toEqual([]);

  await ops.button("Forget the key").click();
  await expect(page.getByLabel("Admin key")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Admin key")).toBeVisible();
  expect(await page.evaluate(() => sessionStorage.length + localStorage.length)).toBe(0);
});

test("the views have addresses, and back leads back", async ({ ops, page }) => {
  await ops.open("overview");
  for (const [view, title] of VIEWS.slice(1)) {
    await page.getByRole("link", { name: title, exact: true }).first().click();
    await expect(ops.title).toHaveText(title);
    await expect(ops.title).toBeFocused();
    expect(new URL(page.url()).searchParams.get("view")).toBe(view);
  }
  await page.goBack();
  await expect(ops.title).toHaveText("Reconciliations");
  await page.goForward();
  await expect(ops.title).toHaveText("Acts");
});

test("the overview shows decisions as they are made", async ({ ops, page }) => {
  const sale = await createSale({ stock: 20 });
  await ops.open("overview");
  await othersBuy(sale, 3);
  const row = ops.row("sales-now", sale.sku);
  await expect(row.getByRole("cell").nth(2)).toHaveText("3", { timeout: SHOWN_WITHIN_MS });
  const chart = page.getByRole("img", { name: /^Decisions a second: Accepted .* at the end, at most [1-9]/ });
  await expect(chart).toBeVisible({ timeout: SHOWN_WITHIN_MS });
  await expect(chart.locator("canvas")).toBeVisible();
  await expect(page.getByRole("img", { name: /^Time to the log: p50 .*at most \d/ })).toBeVisible();
  await expect(page.getByRole("img", { name: new RegExp(`${SINK} .* at the end`) })).toBeVisible();

  await page.getByText("As a table").first().click();
  await expect(page.getByRole("table").filter({ hasText: "Already purchased" })).toBeVisible();
});

test("a sale is set up, paused and resumed from the page, and the acts tell who did it", async ({
  ops,
  page,
}) => {
  const sku = uniqueSku();
  await ops.open("sales");
  await ops.button("Create a sale…").click();
  await ops.button("Create").click();
  await expect(page.getByLabel("SKU")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByLabel("SKU")).toBeFocused();
  await page.getByLabel("SKU").fill(sku);
  await page.getByLabel("Name", { exact: true }).fill("A lamp");
  await page.getByLabel("Start (UTC)").fill(new Date(Date.now() - 60_000).toISOString().slice(0, 16));
  await ops.button("Create").click();
  await expect(page.getByText(`${sku} is set up.`)).toBeVisible();
  await ops.button("Close").click();

  await ops.button(`Pause ${sku}`).click();
  await expect(page.getByText(`${sku} is paused: nobody can buy.`)).toBeVisible();
  await expect.poll(async () => (await saleStatus(sku)).body.data?.paused).toBe(true);
  await ops.button(`Resume ${sku}`).click();
  await expect(page.getByText(`${sku} goes on.`)).toBeVisible();
  await expect.poll(async () => (await saleStatus(sku)).body.data?.paused).toBeUndefined();

  await ops.goto("acts", { action: "SALE_PAUSE" });
  const act = page.getByTestId("acts").getByRole("row").filter({ hasText: sku });
  await expect(act).toContainText("e2e", { timeout: SHOWN_WITHIN_MS });
});

test("the report of a sale counts who tried and who got one", async ({ ops, page }) => {
  test.setTimeout(60_000);
  const sale = await createSale({ stock: 2 });
  await othersBuy(sale, 2);
  expect(await unitsSold(sale)).toBe(2);
  await ops.open("sales", { report: sale.sku });
  // It counts what the sink has written, and another test holds the sink for a while.
  await expect(page.getByTestId("report")).toContainText("2 of 2", { timeout: OBEYED_WITHIN_MS });
  await expect(page.getByTestId("funnel").getByRole("row", { name: /^Accepted 2 / })).toBeVisible({
    timeout: SHOWN_WITHIN_MS,
  });
});

test("a message is found in its topic, decoded", async ({ ops, page }) => {
  const sale = await createSale();
  await buy(sale);
  await ops.open("topics");
  await expect(ops.row("topics", DECISIONS)).toContainText("as its paper says");
  await page.getByRole("link", { name: DECISIONS, exact: true }).click();
  await page.getByLabel("SKU").fill(sale.sku);
  await ops.button("Read").click();
  const messages = page.getByTestId("messages").getByRole("article");
  await expect(messages).toHaveCount(1);
  await expect(messages.getByLabel("Value")).toContainText(sale.sku);
  expect(new URL(page.url()).searchParams.get("sku")).toBe(sale.sku);
});

test("a comparison of a sale that is as it should be finds nothing", async ({ ops, page }) => {
  test.setTimeout(90_000);
  const sale = await createSale();
  await othersBuy(sale, 2);
  await ops.open("reconciliations", { sku: sale.sku });
  await ops.button("Compare now…").click();
  await ops.button("Compare, change nothing").click();
  await expect(ops.plan).toContainText("nothing differs", { timeout: 45_000 });
  await expect(ops.button(/^Repair up to/)).toHaveCount(0);
  await ops.button("Cancel").click();
  await expect(page.getByTestId("reconciliations").getByRole("rowheader").first()).toHaveText(sale.sku, {
    timeout: SHOWN_WITHIN_MS,
  });
});

test.describe("the consumers", () => {
  // One of them stops the sink for a while.
  test.describe.configure({ mode: "serial" });

  test.afterEach(async () => {
    await operate("POST", `/consumers/${SINK}/resume`, {});
  });

  test("the sink keeps up, and says what it has", async ({ ops, page }) => {
    await othersBuy(await createSale(), 1);
    await ops.open("consumers");
    const row = ops.row("consumers", SINK);
    await expect(row.getByText("OK", { exact: true })).toBeVisible({ timeout: OBEYED_WITHIN_MS });
    await row.getByRole("button", { name: `Details of ${SINK}` }).click();
    const partitions = page.getByRole("table", { name: `Partitions of ${SINK}` });
    await expect(partitions.getByRole("rowheader").first()).toContainText(DECISIONS);
    await expect(partitions.getByRole("columnheader", { name: "In Postgres" })).toBeVisible();
    await page.getByRole("button", { name: /^Lag, records/ }).click();
    await expect(page.getByRole("columnheader", { name: /^Lag, records/ }).first()).toHaveAttribute(
      "aria-sort",
      "descending",
    );
    expect(new URL(page.url()).searchParams.get("sort")).toBe("-lag");
  });

  test("the sink is paused and resumed", async ({ ops, page }) => {
    test.setTimeout(60_000);
    await ops.open("consumers");
    const row = ops.row("consumers", SINK);
    await ops.button(`Pause ${SINK}`).click();
    await expect(page.getByText(`${SINK}: told to pause.`)).toBeVisible();
    await expect(row.getByText("all", { exact: true })).toBeVisible({ timeout: OBEYED_WITHIN_MS });
    await expect(ops.button(`Pause ${SINK}`)).toBeDisabled();
    await ops.button(`Resume ${SINK}`).click();
    await expect(row.getByText("all", { exact: true })).toHaveCount(0, { timeout: OBEYED_WITHIN_MS });
  });

  test("a reset shows its plan, and is refused while the consumer runs", async ({ ops, page }) => {
    await ops.open("consumers");
    await ops.button(`Reset ${SINK}`).click();
    await expect(ops.button(/^Reset \d+ partition/)).toHaveCount(0);
    await page.getByLabel("Go to").selectOption("earliest");
    await ops.button("Show the plan").click();
    await expect(ops.plan).toContainText("Would read");
    await expect(ops.plan.getByLabel("Before you do it")).toContainText("member");
    await ops.button(/^Reset \d+ partition/).click();
    await expect(ops.dialog.getByRole("alert")).toContainText("the consumer is running");
    await ops.button("Cancel").click();
    await expect(ops.button(`Reset ${SINK}`)).toBeFocused();
  });
});

test("a poisoned record is inspected, still fails at a redrive, and is discarded", async ({ ops, page }) => {
  test.setTimeout(60_000);
  const key = poison();
  await ops.open("dead-letters");
  const row = page.getByTestId("letters").getByRole("row").filter({ hasText: key });
  await expect(row).toContainText("bad_magic", { timeout: OBEYED_WITHIN_MS });
  await expect(page.getByTestId("groups")).toContainText("bad_magic");
  const id = (await row.getAttribute("data-row")) ?? "";

  await ops.button(`Inspect ${id}`).click();
  await expect(page.getByTestId("letter").getByLabel("Bytes in hexadecimal")).toContainText("6e 6f 20");
  await ops.dialog.getByRole("button", { name: `Redrive ${id}` }).click();
  await expect(ops.plan).toContainText("still fails");
  await expect(ops.button(/^Redrive \d+ letter/)).toHaveCount(0);
  await ops.button("Cancel").click();
  await ops.button("Close").click();

  await page.getByLabel(`Mark ${id}`, { exact: true }).check();
  await ops.button("Discard the marked letters").click();
  await page.getByLabel("Reason").fill("made by a test");
  await ops.button("Show the plan").click();
  await ops.button("Discard 1 letter").click();
  await expect(ops.plan).toHaveText("1 letter discarded.");
  await ops.button("Close").click();
  await expect(row).toHaveCount(0, { timeout: SHOWN_WITHIN_MS });
  await ops.goto("dead-letters", { state: "discarded" });
  await expect(row).toContainText("discarded");
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`no view has a serious violation, ${colorScheme}`, async ({ ops, page }) => {
    test.setTimeout(90_000);
    await installAxe(page);
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const sale = await createSale();
    await othersBuy(sale, 1);
    await ops.goto("overview");
    await expect(page.getByLabel("Admin key")).toBeVisible();
    await expectAccessible(page, "sign in");
    await ops.signIn();
    // Until it is there, another address would take the attempt back.
    await expect(page.getByTestId("tiles")).toBeVisible();
    for (const [view, title] of VIEWS) {
      await ops.show(view, title);
      await expectAccessible(page, view);
    }
    await ops.goto("topics", { topic: DECISIONS });
    await expect(page.getByTestId("messages")).toBeVisible();
    await expectAccessible(page, "messages");
    await ops.goto("sales", { report: sale.sku });
    await expect(page.getByTestId("report")).toBeVisible();
    await expectAccessible(page, "report");
    await ops.goto("sales", { create: "1" });
    await expect(ops.dialog).toBeVisible();
    await expectAccessible(page, "create");
    await ops.show("consumers", "Consumers");
    await ops.button(`Details of ${SINK}`).click();
    await ops.button(`Reset ${SINK}`).click();
    await ops.button("Show the plan").click();
    await expect(ops.plan).toBeVisible();
    await expectAccessible(page, "reset");
  });
}

test.describe("at 360 px", () => {
  test.use({ viewport: { width: 360, height: 740 } });

  test("no view is wider than the screen", async ({ ops, page }) => {
    test.setTimeout(60_000);
    const sale = await createSale({ name: `Aurora ${"Unbreakable".repeat(12)}` });
    await othersBuy(sale, 1);
    await ops.goto("overview");
    await expect(page.getByLabel("Admin key")).toBeVisible();
    await expectNoOverflow(page, "sign in");
    await ops.signIn();
    await expect(page.getByTestId("tiles")).toBeVisible();
    for (const [view, title] of VIEWS) {
      await ops.show(view, title);
      await expectNoOverflow(page, view);
    }
    await ops.goto("topics", { topic: DECISIONS });
    await expect(page.getByTestId("messages")).toBeVisible();
    await expectNoOverflow(page, "messages");
    await ops.goto("sales", { report: sale.sku });
    await expect(page.getByTestId("report")).toBeVisible();
    await expectNoOverflow(page, "report");
    await ops.show("consumers", "Consumers");
    await ops.button(`Reset ${SINK}`).click();
    await ops.button("Show the plan").click();
    await expect(ops.plan).toBeVisible();
    await expectNoOverflow(page, "reset");
  });
});
