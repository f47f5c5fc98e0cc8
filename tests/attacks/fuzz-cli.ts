// `npm run fuzz`: random and mutated messages against the shop, for as many cases or minutes as it is told.
import { randomInt } from "node:crypto";
import { numberFrom, oneOf, readCommandLine } from "../options.ts";
import { fuzz } from "./fuzz.ts";
import { fuzzTargets } from "./fuzz-cases.ts";

const usage = `npm run fuzz -- [options]
  --cases N        of each target (default: 2000)
  --target NAME    one of ${fuzzTargets.join(", ")} (default: all)
  --minutes M      at most so long
  --seed N         of all that chance decides
  --strict         ends at the first fault of a service's own, too`;

const { targets, cases, msMax, seed, strict } = readCommandLine({
  usage,
  options: {
    cases: { type: "string", default: "2000" },
    target: { type: "string" },
    seed: { type: "string" },
    minutes: { type: "string" },
    strict: { type: "boolean", default: false },
  },
  read: ({ target, minutes, ...values }) => ({
    targets: target === undefined ? fuzzTargets : [oneOf(fuzzTargets, "--target", target)],
    cases: numberFrom(0, "--cases", values.cases),
    msMax:
      minutes === undefined
        ? Number.POSITIVE_INFINITY
        : numberFrom(0, "--minutes", minutes, { isWhole: false }) * 60_000,
    seed: values.seed === undefined ? randomInt(2 ** 31) : numberFrom(0, "--seed", values.seed),
    strict: values.strict,
  }),
});
process.stdout.write(`seed ${seed}, ${cases} cases of each target\n`);
try {
  const log = (line: string) => void process.stdout.write(`${line}\n`);
  const report = await fuzz({ targets, cases, seed, msMax, log, strict });
  process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exit();
