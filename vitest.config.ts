import { defineConfig } from "vitest/config";
import { compileCacheVariables } from "./shop/compile-cache.js";

const slow = "**/*.slow.test.ts";
const timing = "**/*.timing.test.ts";
const elsewhere = [slow, timing, "**/node_modules/**"];

/** `npm test` runs `parts` and `whole`; `npm run test:all` runs every project, one after the other. */
export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    dangerouslyIgnoreUnhandledErrors: false,
    // Loading modules anew for each file takes longer than most files do. Files share nothing but modules.
    isolate: false,
    // A spy that a failed test left would be found by the next file.
    restoreMocks: true,
    // Much of each file is waiting.
    maxWorkers: 2,
    // For the processes that tests start.
    env: compileCacheVariables(),
    projects: [
      {
        extends: true,
        test: {
          name: "parts",
          include: ["kit/src/**/*.test.ts", "shop/**/*.test.ts", "examples/*.test.ts", "bench/*.test.ts"],
          exclude: elsewhere,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // Several processes each.
        test: { name: "whole", include: ["tests/**/*.test.ts"], exclude: elsewhere, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        // More than three seconds of processor time each.
        test: { name: "slow", include: [slow], maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
      {
        extends: true,
        // Tests that measure time: nothing else runs beside them.
        test: { name: "timing", include: [timing], maxWorkers: 1, sequence: { groupOrder: 3 } },
      },
    ],
  },
});
