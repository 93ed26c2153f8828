import { defineConfig } from "@playwright/test";
import { browser } from "./chromium.ts";

// `npm run screenshots`: makes the pictures of the README from the real stack. It is no test.
export default defineConfig({
  testDir: ".",
  testMatch: "screenshots.ts",
  globalSetup: "./globalSetup.ts",
  outputDir: "../test-results",
  reporter: "list",
  workers: 1,
  timeout: 60_000,
  use: browser,
});
