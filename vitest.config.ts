import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [
      "kit/src/**/*.test.ts",
      "shop/**/*.test.ts",
      "examples/*.test.ts",
      "tests/**/*.test.ts",
      "bench/*.test.ts",
    ],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
