// Takes out one defence after another, in a copy of the repository, and looks whether the test of its row fails.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { copyRepository } from "../repository-copy.ts";
import type { Defence } from "./defence.ts";
import { defencesOfAccounts } from "./defences-of-accounts.ts";
import { defencesOfBusiness } from "./defences-of-business.ts";
import { defencesOfCalls } from "./defences-of-calls.ts";
import { defencesOfResources } from "./defences-of-resources.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const vitest = join(root, "node_modules/vitest/vitest.mjs");

export const defences: readonly Defence[] = [
  ...defencesOfCalls,
  ...defencesOfResources,
  ...defencesOfAccounts,
  ...defencesOfBusiness,
];

/** Those of `only` that no row begins with, and the rows there are. */
export function unknownRows(only: readonly string[]): { readonly unknown: readonly string[]; readonly known: string } {
  const rows = [...new Set(defences.map(({ row }) => row))];
  return { unknown: only.filter((word) => !rows.some((row) => row.startsWith(word))), known: rows.join(", ") };
}

/**
 * @param only rows whose ids begin with one of these; all when there is none.
 * @returns how many tests passed all the same.
 */
export function withoutDefences(only: readonly string[]): number {
  const copy = mkdtempSync(join(tmpdir(), "flotilla-defences-"));
  let survivors = 0;
  try {
    copyRepository(root, copy);
    for (const defence of defences) {
      if (only.length > 0 && !only.some((row) => defence.row.startsWith(row))) continue;
      const verdict = tryWithout(defence, copy);
      if (verdict !== "fails") survivors += 1;
      process.stdout.write(
        `${verdict === "fails" ? "ok" : "!!"} ${defence.test ?? defence.row} ${verdict}: ${defence.off}\n`,
      );
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return survivors;
}

function tryWithout({ row, test = row, file, edits }: Defence, copy: string): string {
  const originals = new Map<string, string>();
  try {
    for (const { file: source, cut, put } of edits) {
      const path = join(copy, source);
      const text = readFileSync(path, "utf8");
      if (!originals.has(path)) originals.set(path, text);
      if (text.split(cut).length !== 2) return `has nothing to take out of ${source}`;
      // By a function: in a replacement text, $ has a meaning of its own.
      writeFileSync(
        path,
        text.replace(cut, () => put),
      );
    }
    const args = [vitest, "run", `tests/attacks/${file}`, "-t", `\\b${test}\\b`, "--testTimeout=20000"];
    const env = { ...process.env, NO_COLOR: "1" };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: "utf8", env });
    const said = stdout + stderr;
    // In the test itself: a service that does not start, or a file that does not load, proves nothing.
    return status === 1 && / × /.test(said) ? "fails" : `passes (exit ${status})`;
  } finally {
    for (const [path, text] of originals) writeFileSync(path, text);
  }
}
