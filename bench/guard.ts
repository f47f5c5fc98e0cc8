// `npm run bench:guard`: what the check of every message costs. The same load on this repository and on a copy of it from
// which the check and the message rate are cut out, in turns, so that both meet the same machine.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { numberFrom, readCommandLine, UsageError } from "../tests/options.ts";
import { copyRepository } from "../tests/repository-copy.ts";

const rounds = readCommandLine({
  usage: "npm run bench:guard -- [ROUNDS]   measurements of each (default: 9)",
  options: {},
  takesWords: true,
  read(_, [rounds = "9", ...more]) {
    if (more.length > 0) throw new UsageError("It takes a number of rounds, and nothing else");
    return numberFrom(1, "ROUNDS", rounds);
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "flotilla-unguarded-"));
const guarded: number[] = [];
const unguarded: number[] = [];
try {
  copyRepository(root, copy);
  const transport = join(copy, "kit/src/transport/transport.ts");
  const cut = readFileSync(transport, "utf8")
    .replace("if (!rate.take())", "if (rate === undefined)")
    .replace("checkMessage(message, budget, limits);", "void checkMessage;");
  writeFileSync(transport, cut);
  for (let round = 0; round < rounds; round += 1) {
    guarded.push(measure(root));
    unguarded.push(measure(copy));
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const ratios = guarded.map((rate, round) => rate / (unguarded[round] ?? 1));
process.stdout.write(
  `calls per second of processor time, medians of ${rounds} interleaved rounds: with the guard ${median(guarded)}, without ${median(unguarded)}; ` +
    `ratio per round, median ${median(ratios).toFixed(3)}\n`,
);

function measure(repository: string): number {
  return Number(execFileSync(process.execPath, [join(repository, "bench", "guard-load.ts")], { encoding: "utf8" }));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
