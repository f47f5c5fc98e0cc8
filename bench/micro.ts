// `npm run bench:micro`: what each mechanism takes of an order, printed and written into docs/performance.md.
import { readCommandLine } from "../tests/options.ts";
import { measureMechanisms } from "./mechanisms.ts";
import { writePart } from "./report.ts";
import { median, thisCommit } from "./results.ts";
import { startSystem } from "./system.ts";
import { mechanismTable } from "./table.ts";
import { variants } from "./variants.ts";
import type { StoreKind } from "./work.ts";

const reports = readCommandLine({
  usage: "npm run bench:micro -- [--no-report]   leaves docs/performance.md as it is",
  options: { "no-report": { type: "boolean" } },
  read: (values) => !values["no-report"],
});
const whole = { memory: await microsOfOrder("memory"), sqlite: await microsOfOrder("sqlite") };
const table = mechanismTable(await measureMechanisms(9, 500), whole);
process.stdout.write(`${table}\n`);
if (reports) {
  writePart("npm run bench:micro", `${new Date().toISOString().slice(0, 10)}, commit ${thisCommit()}.\n\n${table}`);
}

/** Of an order in the shop itself, at 64 clients: what its three servers take. Null where there is no /proc. */
async function microsOfOrder(store: StoreKind): Promise<number | null> {
  await using system = await startSystem({ variant: variants.find(({ name }) => name === "flotilla")!, store });
  const load = { kind: "closed", clients: 64, seconds: 3 } as const;
  await system.run(load);
  const samples: number[] = [];
  for (let round = 0; round < 3; round++) samples.push((await system.run(load)).serverCpu ?? Number.NaN);
  await system.stop();
  const micros = median(samples) * 1_000;
  return Number.isNaN(micros) ? null : micros;
}
