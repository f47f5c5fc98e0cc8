import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { resultChart } from "./chart.ts";
import { median, type Results } from "./results.ts";
import { resultTables } from "./table.ts";

const docs = fileURLToPath(new URL("../docs", import.meta.url));

/** The tables of `performance.md`, and the chart beside it. */
export function writeReport(results: Results, folder = docs): void {
  writePart("npm run bench", reportOf(results), folder);
  writeFileSync(join(folder, "performance.svg"), resultChart(results));
}

/** Replaces what `command` wrote into `performance.md` before, between its two marks. Makes the page if need be. */
export function writePart(command: string, text: string, folder = docs): void {
  const begin = `<!-- Written by ${command}, from here -->`;
  const end = "<!-- to here -->";
  const page = join(folder, "performance.md");
  const before = existsSync(page) ? readFileSync(page, "utf8") : `# Performance\n\n${begin}\n${end}\n`;
  const from = before.indexOf(begin);
  const to = before.indexOf(end, from);
  if (from === -1 || to === -1) throw new Error(`${page} has no place for the results: ${begin} ... ${end}`);
  writeFileSync(page, `${before.slice(0, from)}${begin}\n\n${text}\n\n${before.slice(to)}`);
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
