import { defineConfig } from "vitest/config";
import { compileCacheVariables } from "./shop/compile-cache.js";

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    dangerouslyIgnoreUnhandledErrors: false,
    // For processes that tests start.
    env: compileCacheVariables(),
    projects: [
      {
        extends: true,
        test: {
          name: "parts",
          include: ["kit/src/**/*.test.ts", "shop/**/*.test.ts", "examples/*.test.ts", "bench/*.test.ts"],
          // Much of them is waiting.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // Of the whole: several processes each, and what some measure others would disturb.
        test: { name: "whole", include: ["tests/**/*.test.ts"], maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
