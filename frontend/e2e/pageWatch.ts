import { type BrowserContext, expect, type Page, type TestInfo } from "@playwright/test";

const LINES_PRINTED = 40;

/** Watches everything that the pages of a test do, and knows what no page may ever do. */
export class PageWatch {
  readonly #log: string[] = [];
  readonly #wrong: string[] = [];
  readonly #began = Date.now();

  /** Watches all pages of a browser context, also those to come. */
  async attach(context: BrowserContext): Promise<void> {
    await context.exposeBinding("tellPolicyViolation", (_, what: string) =>
      this.#note(`policy violated: ${what}`, true),
    );
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        const tell = (window as unknown as { tellPolicyViolation(what: string): void }).tellPolicyViolation;
        tell(`${event.violatedDirective}: ${event.blockedURI} (${event.sourceFile}:${event.lineNumber})`);
      });
    });
    context.on("page", (page) => this.#attachPage(page));
    context.on("request", (request) => {
      const url = new URL(request.url());
      const isOwn = url.hostname === "127.0.0.1" || url.protocol === "data:" || url.protocol === "blob:";
      if (!isOwn) this.#note(`request to another host: ${request.url()}`, true);
    });
    context.on("response", async (response) => {
      const request = response.request();
      if (response.status() >= 400)
        this.#note(`${response.status()} for ${request.method()} ${response.url()}`);
      if (request.resourceType() === "document" && response.ok()) {
        const policy = response.headers()["content-security-policy"] ?? "";
        const isStrict = /default-src 'none'/.test(policy) && /script-src 'self'(;|$)/.test(policy);
        if (!isStrict)
          this.#note(`no strict content security policy for ${response.url()}: "${policy}"`, true);
      }
    });
    context.on("requestfailed", (request) => {
      this.#note(`failed: ${request.method()} ${request.url()}: ${request.failure()?.errorText}`);
    });
  }

  /** Fails when a page did what no page may do; then, or when the test has failed, tells what the pages did. */
  async finish(test: TestInfo, stackOutput: string): Promise<void> {
    if (this.#wrong.length > 0 || test.status !== test.expectedStatus) {
      const log = this.#log.join("\n");
      await test.attach("pages.log", { body: log, contentType: "text/plain" });
      await test.attach("up.log", { body: stackOutput, contentType: "text/plain" });
      // A remote run may keep nothing but what is printed.
      console.error(`${test.title}: the last of its pages:\n${this.#log.slice(-LINES_PRINTED).join("\n")}`);
    }
    expect(this.#wrong, "what no page may do").toEqual([]);
  }

  #attachPage(page: Page): void {
    page.on("console", (message) => this.#note(`console ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => this.#note(`uncaught: ${error.stack ?? error}`, true));
    page.on("crash", () => this.#note("crashed", true));
  }

  #note(what: string, isWrong = false): void {
    this.#log.push(`${String(Date.now() - this.#began).padStart(6)} ms  ${what}`);
    if (isWrong) this.#wrong.push(what);
  }
}
