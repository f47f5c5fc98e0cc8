// `npm run bench:cold`: what orders cost in the first seconds of new processes, before their code is compiled, beside what
// one would use instead.
import { numberFrom, readCommandLine, UsageError } from "../tests/options.ts";
import { makeRandom } from "../tests/random.ts";
import { shuffled } from "./measure.ts";
import { median } from "./results.ts";
import { startSystem } from "./system.ts";
import { type Variant, variants } from "./variants.ts";

const seconds = 2;
const clients = 64;

const rounds = readCommandLine({
  usage: "npm run bench:cold -- [ROUNDS]   starts each system so often (default: 5)",
  options: {},
  takesWords: true,
  read(_, [rounds = "5", ...more]) {
    if (more.length > 0) throw new UsageError("It takes a number of rounds, and nothing else");
    return numberFrom(1, "ROUNDS", rounds);
  },
});

interface Cold {
  readonly rate: number;
  readonly microseconds: number;
}

const measured = variants.filter(({ kind, name }) => kind === "peer" || name === "flotilla-unix");
const results = new Map<string, Cold[]>(measured.map(({ name }) => [name, []]));
const random = makeRandom(1);
for (let round = 0; round < rounds; round += 1) {
  for (const variant of shuffled(measured, random)) {
    const cold = await measure(variant);
    results.get(variant.name)!.push(cold);
    process.stderr.write(`round ${round + 1}, ${variant.name}: ${cold.microseconds.toFixed(0)} µs an order\n`);
  }
}

const lines = measured.map(({ name }) => {
  const all = results.get(name)!;
  const of = (pick: (cold: Cold) => number) => median(all.map(pick)).toFixed(0);
  return `| ${name} | ${of(({ microseconds }) => microseconds)} | ${of(({ rate }) => rate)} |`;
});
process.stdout.write(
  `The first ${seconds} s of new processes, in memory, ${clients} clients, medians of ${rounds} starts.\n\n` +
    `| | CPU µs an order, servers | orders/s |\n| --- | ---: | ---: |\n${lines.join("\n")}\n`,
);

async function measure(variant: Variant): Promise<Cold> {
  await using system = await startSystem({ variant, store: "memory" });
  const { rate, serverCpu } = await system.run({ kind: "closed", clients, seconds, isCold: true });
  await system.stop();
  return { rate, microseconds: (serverCpu ?? Number.NaN) * 1_000 };
}
