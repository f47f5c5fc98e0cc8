// `npm run keys`: the keys by which the services of this data directory know each other.
import { join } from "node:path";
import { runKeys } from "@flotilla/kit";
import { readPlacement } from "../service/placement.ts";
import { reportLostOutput } from "../service/standard-output.ts";

reportLostOutput();
const { dataDir } = readPlacement(process.env);
const exitCode = runKeys({
  directory: join(dataDir, "keys"),
  args: process.argv.slice(2),
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
});
process.exitCode ||= exitCode;
