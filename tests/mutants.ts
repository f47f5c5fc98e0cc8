// `npm run mutants`: takes out, one at a time and in a copy, the mechanism behind each promise of ARCHITECTURE.md and
// SECURITY.md, and looks whether the test that is named there fails. Takes some minutes, so it is not part of `npm test`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutant } from "./mutant.ts";
import { mutantsOfCore } from "./mutants-of-core.ts";
import { mutantsOfFaults } from "./mutants-of-faults.ts";
import { mutantsOfInvariants } from "./mutants-of-invariants.ts";
import { mutantsOfLeases } from "./mutants-of-leases.ts";
import { mutantsOfLimits } from "./mutants-of-limits.ts";
import { mutantsOfUsers } from "./mutants-of-users.ts";
import { readCommandLine, UsageError } from "./options.ts";
import { copyRepository } from "./repository-copy.ts";

export const mutants: readonly Mutant[] = [
  ...mutantsOfUsers,
  ...mutantsOfFaults,
  ...mutantsOfLimits,
  ...mutantsOfInvariants,
  ...mutantsOfCore,
  ...mutantsOfLeases,
];

const root = fileURLToPath(new URL("..", import.meta.url));
if (import.meta.main) process.exitCode = tryAll(chosen()) === 0 ? 0 : 1;

/** Those whose promise has the word of the command line in it; all of them without one. */
function chosen(): readonly Mutant[] {
  const usage = `npm run mutants -- [WORD]   the mutants whose promise has WORD in it (default: all ${mutants.length})`;
  return readCommandLine({
    usage,
    options: {},
    takesWords: true,
    read(_, [word = "", ...more]) {
      if (more.length > 0) throw new UsageError("One WORD at most; quote it when it has spaces");
      const found = mutants.filter((mutant) => mutant.promise.includes(word));
      if (found.length > 0) return found;
      const promises = mutants.map(({ promise }) => `  ${promise}`).join("\n");
      throw new UsageError(`No promise has ${JSON.stringify(word)} in it. The promises:\n${promises}`);
    },
  });
}

/** @returns how many were not noticed by their test. */
function tryAll(all: readonly Mutant[]): number {
  const copy = mkdtempSync(join(tmpdir(), "flotilla-mutants-"));
  try {
    copyRepository(root, copy);
    const survivors = all.filter((mutant) => !isCaught(mutant, copy)).length;
    process.stdout.write(
      survivors === 0 ? "Every test failed when its mechanism was out.\n" : `${survivors} survived.\n`,
    );
    return survivors;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function isCaught({ promise, file, cut, put, test }: Mutant, copy: string): boolean {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  if (original.split(cut).length !== 2) {
    process.stdout.write(`?  ${promise}: ${file} does not have the line to take out\n`);
    return false;
  }
  // By a function: in a replacement text, $ has a meaning of its own.
  writeFileSync(
    path,
    original.replace(cut, () => put),
  );
  const vitest = join(dirname(fileURLToPath(import.meta.resolve("vitest"))), "..", "vitest.mjs");
  const run = spawnSync(process.execPath, [vitest, "run", test, "--testTimeout=10000", "--hookTimeout=10000"], {
    cwd: copy,
    encoding: "utf8",
  });
  writeFileSync(path, original);
  const isCaught = run.status === 1 && / FAIL /.test(run.stdout + run.stderr);
  process.stdout.write(
    `${isCaught ? "ok" : "!!"} ${promise}: ${test} ${isCaught ? "fails" : `passes (exit ${run.status})`}\n`,
  );
  return isCaught;
}
