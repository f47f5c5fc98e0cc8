// `npm run bench:scale`: measures, prints the tables, and writes them into docs/performance.md.
import { readCommandLine } from "../tests/options.ts";
import { writePart } from "./report.ts";
import { thisCommit } from "./results.ts";
import { fullScale, measureScale } from "./scaling.ts";
import { scaleTables } from "./table.ts";

const reports = readCommandLine({
  usage: "npm run bench:scale -- [--no-report]   leaves docs/performance.md as it is",
  options: { "no-report": { type: "boolean" } },
  read: (values) => !values["no-report"],
});
const results = await measureScale(fullScale, (line) => process.stderr.write(`${line}\n`));
const tables = scaleTables(results);
process.stdout.write(`${tables}\n`);
if (reports) {
  writePart("npm run bench:scale", `${new Date().toISOString().slice(0, 10)}, commit ${thisCommit()}.\n\n${tables}`);
}
