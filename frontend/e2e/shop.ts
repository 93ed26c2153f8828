import { expect, type Locator, type Page, type Request } from "@playwright/test";
import type { TestSale } from "./api.ts";

/** What became of an attempt, as the page names it. */
export type OutcomeName =
  | "purchased"
  | "already-purchased"
  | "pending"
  | "sold-out"
  | "not-active"
  | "rate-limited"
  | "unknown"
  | "invalid"
  | "unproved"
  | "busy";

/** How the page gets its news. */
export type Connection = "live" | "polling" | "offline" | "connecting";

/**
 * The longest that a single update may take. FE-2 wants a second, and the median is held to it; but here the servers, a
 * debug build and two browsers share two cores, and one of them may have to wait.
 */
export const LIVE_WITHIN_MS = 2_500;
/** What takes so much longer than it may is taken for lost. */
const NEVER_MS = 5_000;

/** An attempt as it left the page. */
export interface Post {
  user: string | undefined;
  key: string | undefined;
  body: unknown;
  request: Request;
}

/** The page of one sale, and how a test finds its way in it. */
export class Shop {
  readonly page: Page;
  /** Attempts that have left the page since it was opened, also those that were never answered. */
  readonly posts: Post[] = [];
  readonly name: Locator;
  readonly state: Locator;
  readonly stock: Locator;
  readonly bar: Locator;
  readonly countdown: Locator;
  readonly identifier: Locator;
  /** The one that buys, whatever it says now. */
  readonly button: Locator;
  readonly outcome: Locator;
  readonly receipt: Locator;
  readonly purchaseNo: Locator;
  readonly connection: Locator;
  readonly #origin: string;

  constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    this.name = page.getByRole("heading", { level: 1 });
    this.state = page.getByTestId("state");
    this.stock = page.getByTestId("stock");
    this.bar = page.getByRole("progressbar", { name: "Units left" });
    this.countdown = page.getByRole("timer");
    this.identifier = page.getByLabel(/identifier/i);
    this.button = page.getByRole("button", {
      name: /^(Buy now|Not open yet|Paused|Sold out|Sale ended|Sending…|Checking…)$/,
    });
    this.outcome = page.getByTestId("outcome");
    this.receipt = page.getByTestId("receipt");
    this.purchaseNo = page.getByTestId("purchase-no");
    this.connection = page.getByTestId("connection");
    page.on("request", (request) => {
      if (request.method() !== "POST" || new URL(request.url()).pathname !== "/api/v1/purchases") return;
      const headers = request.headers();
      const user = headers["x-user-id"];
      this.posts.push({
        user: user === undefined ? undefined : Buffer.from(user, "latin1").toString("utf8"),
        key: headers["idempotency-key"],
        body: request.postDataJSON(),
        request,
      });
    });
  }

  /** Opens the page of a sale and waits until it is drawn. */
  async open(sale: TestSale): Promise<void> {
    await this.page.goto(`${this.#origin}/?sku=${sale.sku}`);
    await expect(this.name).toHaveText(sale.name);
  }

  /** Opens the list of all sales. */
  async openList(): Promise<void> {
    await this.page.goto(`${this.#origin}/`);
  }

  /** Opens it and waits until it is told of changes as they happen. */
  async openLive(sale: TestSale): Promise<void> {
    await this.open(sale);
    await this.expectConnection("live");
  }

  async buyAs(user: string): Promise<void> {
    await this.identifier.fill(user);
    await this.button.click();
  }

  async expectConnection(connection: Connection, timeout = 5_000): Promise<void> {
    await expect(this.connection).toHaveAttribute("data-connection", connection, { timeout });
  }

  async expectOutcome(outcome: OutcomeName, timeout = 5_000): Promise<void> {
    await expect(this.outcome).toHaveAttribute("data-outcome", outcome, { timeout });
    await expect(this.outcome).toBeVisible();
    // Announced, whether politely or at once.
    const announcer = this.page
      .locator("[role=status], [role=alert]")
      .filter({ has: this.page.getByTestId("outcome") });
    await expect(
      announcer.or(this.outcome.and(this.page.locator("[role=status], [role=alert]"))),
    ).not.toHaveCount(0);
  }

  /** Waits for the number and returns how many ms it took: late is another fault than never. */
  async expectStock(left: number, sale: TestSale, withinMs = LIVE_WITHIN_MS): Promise<number> {
    const [text, asked] = [`${left} of ${sale.stock} left`, Date.now()];
    const shows = (text: string) =>
      document.querySelector("[data-testid=stock]")?.textContent?.includes(text);
    const seen = await this.page
      .waitForFunction(shows, text, { timeout: withinMs + NEVER_MS })
      .catch(() => null);
    const took = Date.now() - asked;
    if (seen === null) await expect(this.stock).toContainText(text, { timeout: 1 });
    expect(took, `ms until the page showed "${text}"`).toBeLessThanOrEqual(withinMs);
    return took;
  }

  async expectButton(name: string, usable: boolean, timeout = 5_000): Promise<void> {
    await expect(this.button).toHaveText(name, { timeout });
    await (usable ? expect(this.button).toBeEnabled() : expect(this.button).toBeDisabled());
  }

  /** What the countdown says, in seconds. */
  async secondsLeft(): Promise<number> {
    const text = (await this.countdown.textContent()) ?? "";
    const seconds = parseSpan(text);
    if (seconds === undefined) throw new Error(`no span of time in "${text}"`);
    return seconds;
  }
}

const UNIT_SECONDS = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;

/** Seconds of "1 d 02:03:04", "02:03", "1 h 2 min 3 s" and the like. */
export function parseSpan(text: string): number | undefined {
  let seconds: number | undefined;
  const clock = /(\d+):(\d{2})(?::(\d{2}))?/.exec(text);
  if (clock) {
    const [a, b, c] = [Number(clock[1]), Number(clock[2]), clock[3]];
    seconds = c === undefined ? a * 60 + b : a * 3_600 + b * 60 + Number(c);
  }
  for (const [, count, unit] of text.matchAll(/(\d+)\s*(d|h|m|s)[a-z]*/gi)) {
    const length = UNIT_SECONDS[unit?.toLowerCase() as keyof typeof UNIT_SECONDS];
    seconds = (seconds ?? 0) + Number(count) * length;
  }
  return seconds;
}
