// `npm run bench:scale`: measures, prints the tables, and writes them into docs/performance.md.
import { parseArgs } from "node:util";
import { writePart } from "./report.ts";
import { thisCommit } from "./results.ts";
import { fullScale, measureScale } from "./scaling.ts";
import { scaleTables } from "./table.ts";

const { values } = parseArgs({ options: { "no-report": { type: "boolean" } } });
const results = await measureScale(fullScale, (line) => process.stderr.write(`${line}\n`));
const tables = scaleTables(results);
process.stdout.write(`${tables}\n`);
if (!values["no-report"]) {
  writePart("npm run bench:scale", `${new Date().toISOString().slice(0, 10)}, commit ${thisCommit()}.\n\n${tables}`);
}
