import { attempt, createSale, uniqueUser, unitsSold } from "./api.ts";
import { expectAccessible, expectNoOverflow, installAxe } from "./checks.ts";
import { history, keepHistory } from "./initScripts.ts";
import { expect, test } from "./test.ts";

const PURCHASES = "/api/v1/purchases";
const CHALLENGE = `**${PURCHASES}/challenge*`;
/** Chance decides how long the calculation takes, and two browsers and the servers share the machine. */
const SOLVED_WITHIN_MS = 15_000;

test.describe("at 360 px", () => {
  test.use({ viewport: { width: 360, height: 740 } });

  test("a sale with a challenge is bought from by a page, and not by who skips it", async ({
    shop,
    page,
  }) => {
    await installAxe(page);
    await keepHistory(page, "[role=status] .progress p");
    const sale = await createSale({ stock: 5, challenge: "PROOF_OF_WORK" });
    const refused = await attempt(sale, uniqueUser());
    expect(refused.status).toBe(403);
    expect(refused.body.error).toMatchObject({
      code: "CHALLENGE_REQUIRED",
      challenge: { kind: "PROOF_OF_WORK" },
    });
    // The question waits, so that the page can be looked at meanwhile.
    let ask = () => {};
    const looked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    await page.route(CHALLENGE, async (route) => {
      await looked;
      await route.continue();
    });
    await shop.openLive(sale);
    await shop.buyAs(uniqueUser());
    await shop.expectButton("Checking…", false);
    await expect(page.getByRole("status").getByText(/short calculation/)).toBeVisible();
    await expectNoOverflow(page, "checking");
    await expectAccessible(page, "checking");
    ask();
    await shop.expectOutcome("purchased", SOLVED_WITHIN_MS);
    expect(shop.posts, "the first request had the answer").toHaveLength(1);
    expect(shop.posts[0]?.request.headers()["x-challenge-response"]).toMatch(/^[\w-]+\.[\w-]+:\d+$/);
    expect(await unitsSold(sale)).toBe(1);
    const told = await history(page, "[role=status] .progress p");
    expect(told, "what is read out does not change").toHaveLength(1);
  });
});

test("a challenge is met before the click, by a worker that then ends", async ({ shop, page }) => {
  const sale = await createSale({ challenge: "PROOF_OF_WORK" });
  await shop.openLive(sale);
  const worker = page.waitForEvent("worker");
  await shop.identifier.fill(uniqueUser());
  const solving = await worker;
  // It may have ended before anybody could listen.
  await expect.poll(() => page.workers().includes(solving), { timeout: SOLVED_WITHIN_MS }).toBe(false);
  expect(shop.posts).toHaveLength(0);
  let questions = 0;
  await page.route(CHALLENGE, (route) => {
    questions += 1;
    return route.continue();
  });
  await shop.button.click();
  await shop.expectOutcome("purchased");
  expect(questions, "nothing was left to ask").toBe(0);
});

test("FE-8 an answer that the server refuses is replaced, with the same key", async ({ shop, page }) => {
  const sale = await createSale({ stock: 5, challenge: "PROOF_OF_WORK" });
  await shop.openLive(sale);
  const refused = page.waitForResponse((one) => one.request().method() === "POST" && one.status() === 403);
  await page.route(
    `**${PURCHASES}`,
    (route) => {
      const headers = route.request().headers();
      // Another number than the one that was found.
      const response = `${headers["x-challenge-response"]}0`;
      return route.continue({ headers: { ...headers, "x-challenge-response": response } });
    },
    { times: 1 },
  );
  await shop.buyAs(uniqueUser());
  const answer = await (await refused).json();
  expect(answer.error).toMatchObject({ code: "CHALLENGE_FAILED", challenge: { kind: "PROOF_OF_WORK" } });
  await shop.expectOutcome("purchased", SOLVED_WITHIN_MS);
  expect(new Set(shop.posts.map((post) => post.key)).size, "one attempt, one key").toBe(1);
  expect(await unitsSold(sale)).toBe(1);
});
