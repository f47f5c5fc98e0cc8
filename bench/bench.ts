// `npm run bench`: the same work on ours and on what one would use instead.
import { mkdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { measure } from "./measure.ts";
import { type Command, readCommand, usage } from "./options.ts";
import { writeReport } from "./report.ts";
import { type Results, readResults, summarise, thisCommit, thisMachine, writeResults } from "./results.ts";
import { resultTables } from "./table.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const say = (line: string) => process.stderr.write(`${line}\n`);

let command: Command;
try {
  command = readCommand(process.argv.slice(2));
} catch (error) {
  say(`${(error as Error).message}\n\n${usage}`);
  process.exit(2);
}
if (command.help) process.stdout.write(`${usage}\n`);
else if (command.report) writeReport(readResults(command.report));
else await measureAll(command);

async function measureAll({ options, out, profileTo }: Command): Promise<void> {
  const startedAt = new Date().toISOString();
  const { variants, stores, seed, ...rest } = options;
  say(`seed ${seed}; ${variants.map(({ name }) => name).join(", ")}`);
  const parts = [];
  for (const store of stores) parts.push(await measure({ options, store, profileTo, onProgress: say }));
  const samples = parts.flatMap((part) => part.samples);
  const results: Results = {
    startedAt,
    commit: thisCommit(),
    seed,
    machine: thisMachine(),
    options: rest,
    variants,
    stores,
    summary: summarise(samples),
    counts: parts.flatMap((part) => part.counts),
    samples,
  };
  const file = out ?? join(root, "bench", "results", `${startedAt.replaceAll(/[:.]/g, "-")}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeResults(file, results);
  print(results);
  say(`Written to ${relative(process.cwd(), file)}`);
}

function print(results: Results): void {
  process.stdout.write(`${resultTables(results)}\n`);
}
