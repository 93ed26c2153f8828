import { defineConfig } from "@playwright/test";
import { browser } from "./e2e/chromium.ts";

// The browser tests run against the real local stack, started once: see e2e/globalSetup.ts.
export default defineConfig({
  testDir: "./e2e",
  globalSetup: "./e2e/globalSetup.ts",
  outputDir: "./test-results",
  reporter: "list",
  forbidOnly: Boolean(process.env["CI"]),
  fullyParallel: true,
  // Two, as the smallest machine has two cores and the stack needs some of them.
  workers: 2,
  // A test that passes at the second try hides a bug.
  retries: 0,
  timeout: 30_000,
  globalTimeout: 10 * 60_000,
  use: { ...browser, screenshot: "only-on-failure", trace: "off", video: "off" },
  projects: [
    { name: "shop", testIgnore: "wholeStack.spec.ts" },
    // Stops the stack and deletes every sale, so nobody else may be using it.
    { name: "whole-stack", testMatch: "wholeStack.spec.ts", dependencies: ["shop"], workers: 1 },
  ],
});
