// Biome formats and lints. ESLint is here for one rule only: a dropped RPC promise is a leak and an unhandled
// rejection waiting to happen, and this rule sees it on a stub (see docs/decisions/0002-tooling.md).
import tseslint from "typescript-eslint";

export default [
  { ignores: ["**/node_modules/**"] },
  {
    files: ["kit/src/**/*.ts", "shop/**/*.ts", "tests/**/*.ts", "bench/**/*.ts"],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
    plugins: { "@typescript-eslint": tseslint.plugin },
    rules: { "@typescript-eslint/no-floating-promises": ["error", { checkThenables: true }] },
  },
];
