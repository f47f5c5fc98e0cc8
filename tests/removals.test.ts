import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { defences } from "./attacks/without-defences.ts";
import { mutants } from "./mutants.ts";

// `npm run mutants` and `npm run attacks -- --without-defences` take many minutes; that they still find what they take out
// is seen at once.

const sourceOf = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");

describe("what is taken out to see a test fail stands in its source once", () => {
  test.each(mutants.map(({ promise, ...mutant }) => [promise, mutant] as const))("%s", (_, { file, cut, put }) => {
    expect(sourceOf(file).split(cut)).toHaveLength(2);
    expect(put).not.toBe(cut);
  });

  test.each(defences.map(({ row, off, edits }) => [row, off, edits] as const))("%s: %s", (_row, _off, edits) => {
    const texts = new Map<string, string>();
    for (const { file, cut, put } of edits) {
      const text = texts.get(file) ?? sourceOf(file);
      expect(text.split(cut), file).toHaveLength(2);
      texts.set(
        file,
        text.replace(cut, () => put),
      );
    }
  });
});
