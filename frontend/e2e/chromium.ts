import { existsSync } from "node:fs";
import type { PlaywrightTestConfig } from "@playwright/test";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/google-chrome"];

const path = process.env["CHROMIUM_PATH"] ?? CANDIDATES.find((file) => existsSync(file)) ?? CANDIDATES[0];

/** Where the browser is; an error that says what to do when there is none. */
export function chromiumPath(): string {
  if (path === undefined || !existsSync(path)) {
    throw new Error(`There is no Chromium at ${path}. Let \`make e2e\` install it, or set CHROMIUM_PATH.`);
  }
  return path;
}

/** How every test starts it. */
export const browser = {
  browserName: "chromium",
  headless: true,
  launchOptions: {
    ...(path === undefined ? {} : { executablePath: path }),
    // No sandbox: it needs rights that a container does not give. The others keep it from talking to anybody else.
    args: ["--no-sandbox", "--disable-quic", "--disable-background-networking"],
  },
} satisfies PlaywrightTestConfig["use"];
