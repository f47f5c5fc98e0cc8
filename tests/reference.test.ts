import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { makeReference } from "../scripts/reference.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs", "kit", "reference.md"), "utf8");

test("docs/kit/reference.md is what the code says: `npm run docs` writes it", () => {
  expect(page).toBe(makeReference());
});

test("everything that is exported says what it is", () => {
  const rows = [...page.matchAll(/^\| \[`(\w+)`\]\(#[\w-]+\) \| (.*) \|$/gm)];
  expect(rows.length).toBeGreaterThan(80);
  expect(rows.filter(([, , sentence]) => sentence!.trim().length < 8).map(([, name]) => name)).toEqual([]);
});
