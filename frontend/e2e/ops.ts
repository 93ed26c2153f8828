import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type Locator, type Page } from "@playwright/test";
import { ADMIN_KEY } from "./api.ts";
import { sharedStack } from "./stack.ts";

/** The consumer that writes what was sold into Postgres, as its group is called. */
export const SINK = "flashsale-sink-postgres";
export const DECISIONS = "flashsale.purchase-decisions.v1";

/** The views by the name that the address has for them, and their titles. */
export const VIEWS = [
  ["overview", "Overview"],
  ["consumers", "Consumers"],
  ["topics", "Topics"],
  ["dead-letters", "Dead letters"],
  ["sales", "Sales"],
  ["reconciliations", "Reconciliations"],
  ["acts", "Acts"],
] as const;

export type ViewName = (typeof VIEWS)[number][0];

/** The operators' console, and how a test finds its way in it. */
export class OpsConsole {
  readonly page: Page;
  readonly title: Locator;
  readonly dialog: Locator;
  readonly plan: Locator;
  readonly signInFault: Locator;
  readonly #origin: string;

  constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    this.title = page.getByRole("heading", { level: 1 });
    this.dialog = page.getByRole("dialog");
    this.plan = page.getByTestId("plan");
    this.signInFault = page.getByTestId("sign-in-fault");
  }

  /** Goes to a view as whoever has its address. */
  async goto(view: ViewName, params: Record<string, string> = {}): Promise<void> {
    await this.page.goto(`${this.#origin}/ops?${new URLSearchParams({ view, ...params })}`);
  }

  /** Enters a name and the key, kept so that a view can be opened anew. */
  async signIn(key = ADMIN_KEY): Promise<void> {
    await this.page.getByLabel("Your name").fill("e2e");
    await this.page.getByLabel("Admin key").fill(key);
    await this.page.getByLabel("Keep until this tab closes").check();
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  /** Goes to a view, signs in, and waits until it is there. */
  async open(view: ViewName, params: Record<string, string> = {}): Promise<void> {
    await this.goto(view, params);
    await this.signIn();
    await expect(this.page.getByRole("navigation", { name: "Views" })).toBeVisible();
  }

  /** A view that one has signed in to, loaded. */
  async show(view: ViewName, title: string): Promise<void> {
    await this.goto(view);
    await expect(this.title).toHaveText(title);
    await expect(this.page.locator("[aria-busy=true]")).toHaveCount(0);
  }

  /** The row of a table that has this name. */
  row(table: string, name: string): Locator {
    return this.page.getByTestId(table).locator(`tr[data-row="${name}"]`);
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name, exact: typeof name === "string" });
  }
}

/**
 * Writes a record that no consumer can use among the decisions: it becomes a dead letter of the class `bad_magic`.
 * What it returns is the key of the record. It needs kcat, which `make setup-tests` installs.
 */
export function poison(): string {
  const key = `poison-${randomBytes(6).toString("hex")}`;
  const ports = JSON.parse(readFileSync(join(sharedStack().root, "data", "ports.json"), "utf8"));
  const send = ["-P", "-b", `127.0.0.1:${ports.kafka}`, "-t", DECISIONS, "-k", key];
  const options = { input: "no record of ours\n", timeout: 20_000 };
  try {
    execFileSync("kcat", send, options);
  } catch (error) {
    // Older releases of Debian name it so.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    execFileSync("kafkacat", send, options);
  }
  return key;
}
