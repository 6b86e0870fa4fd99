import { defineConfig } from "vitest/config";

// The clocks of tests are virtual: a real limit is there for what hangs, not for a slow machine.
export default defineConfig({
  test: { globalSetup: ["test/exchanges/check.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
});
