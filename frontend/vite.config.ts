import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { precompress } from "./scripts/precompress.ts";

const service = process.env.FLASHSALE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), precompress()],
  build: {
    target: "baseline-widely-available",
    // The content security policy allows no fonts or scripts in data: URLs; a file each is also cached for good.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // The proxy passes bytes on as they come, so the event stream stays a stream.
    proxy: { "/api": service, "/health": service },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    unstubGlobals: true,
  },
});
