// npm run fuzz -- --cases N [--target gateway|batch|users|orders] [--seed S] [--minutes M] [--strict]
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";
import { type FuzzTarget, fuzzTargets } from "./fuzz-cases.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "2000" },
    target: { type: "string" },
    seed: { type: "string" },
    minutes: { type: "string" },
    strict: { type: "boolean", default: false },
  },
});

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number >= 0) return number;
  process.stderr.write(`--${name}: expected a number, got ${JSON.stringify(text)}\n`);
  process.exit(2);
}

function targetsOf(name: string | undefined): readonly FuzzTarget[] {
  if (name === undefined) return fuzzTargets;
  const target = fuzzTargets.find((known) => known === name);
  if (target) return [target];
  process.stderr.write(`--target: expected one of ${fuzzTargets.join(", ")}, got ${JSON.stringify(name)}\n`);
  process.exit(2);
}

const seed = values.seed === undefined ? randomInt(2 ** 31) : numberOf("seed", values.seed);
const cases = numberOf("cases", values.cases);
const msMax = values.minutes === undefined ? Number.POSITIVE_INFINITY : numberOf("minutes", values.minutes) * 60_000;
process.stdout.write(`seed ${seed}, ${cases} cases of each target\n`);
try {
  const log = (line: string) => void process.stdout.write(`${line}\n`);
  const report = await fuzz({ targets: targetsOf(values.target), cases, seed, msMax, log, strict: values.strict });
  process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exit();
