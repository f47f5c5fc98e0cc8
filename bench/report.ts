import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { resultChart } from "./chart.ts";
import { median, type Results } from "./results.ts";
import { resultTables } from "./table.ts";

const docs = fileURLToPath(new URL("../docs", import.meta.url));
const begin = "<!-- Written by npm run bench, from here -->";
const end = "<!-- to here -->";

/** Replaces what stands between the two marks in `performance.md`, and the chart beside it. Makes both if need be. */
export function writeReport(results: Results, folder = docs): void {
  const page = join(folder, "performance.md");
  const before = existsSync(page) ? readFileSync(page, "utf8") : `# Performance\n\n${begin}\n${end}\n`;
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`${page} has no place for the results: ${begin} ... ${end}`);
  const written = `${before.slice(0, from)}${begin}\n\n${reportOf(results)}\n\n${before.slice(to)}`;
  writeFileSync(join(folder, "performance.svg"), resultChart(results));
  writeFileSync(page, written);
}

/** Where and how it was measured, and the tables. */
export function reportOf(results: Results): string {
  const { machine, options, commit, seed, startedAt } = results;
  const foreign = results.samples.map(({ result }) => result.foreignCpus).filter((it) => it !== null);
  const others = foreign.length > 0 ? `; other programs took ${median(foreign).toFixed(2)} of a core meanwhile` : "";
  return [
    "![Orders per second, latency and processor time of each](performance.svg)",
    `${startedAt.slice(0, 10)}, commit ${commit}, seed ${seed}: ${machine.cores} cores of ${machine.cpu}, ${machine.os}, Node ` +
      `${machine.node}${others}. Medians of ${options.rounds} interleaved round${options.rounds > 1 ? "s" : ""} of ` +
      `${options.seconds} s; three servers and the load process share the cores.`,
    resultTables(results),
  ].join("\n\n");
}
