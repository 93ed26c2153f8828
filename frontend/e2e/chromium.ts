import { existsSync } from "node:fs";
import type { PlaywrightTestConfig } from "@playwright/test";

const path = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";

/** Where the browser is; an error that says what to do when there is none. */
export function chromiumPath(): string {
  if (!existsSync(path)) {
    throw new Error(`There is no Chromium at ${path}. Install it with \`make setup\`, or set CHROMIUM_PATH.`);
  }
  return path;
}

/** How every test starts it. */
export const browser = {
  browserName: "chromium",
  headless: true,
  launchOptions: {
    executablePath: path,
    // No sandbox: it needs rights that a container does not give. The others keep it from talking to anybody else.
    args: ["--no-sandbox", "--disable-quic", "--disable-background-networking"],
  },
} satisfies PlaywrightTestConfig["use"];
