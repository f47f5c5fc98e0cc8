// Biome formats and lints. ESLint is here for one rule only: a dropped RPC promise is a leak and an unhandled
// rejection waiting to happen, and this rule sees it on a stub (see docs/decisions/0002-tooling.md).
import { existsSync } from "node:fs";
import tseslint from "typescript-eslint";

/** The rule needs the types of what the peers of the benchmark use, which only `npm run bench` installs. */
const untyped = existsSync(new URL("bench/node_modules", import.meta.url)) ? [] : ["bench/peers/**"];

export default [
  { ignores: ["**/node_modules/**", ...untyped] },
  {
    files: [
      ...["kit/src/**/*.ts", "kit/package/*.ts", "shop/**/*.ts", "examples/**/*.ts"],
      ...["scripts/**/*.ts", "tests/**/*.ts", "bench/**/*.ts"],
    ],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
    plugins: { "@typescript-eslint": tseslint.plugin },
    rules: { "@typescript-eslint/no-floating-promises": ["error", { checkThenables: true }] },
  },
];
