// `npm run keys`: the keys by which the services of this data directory know each other.
import { join } from "node:path";
import { runKeys } from "@flotilla/kit";
import { readPlacement } from "../service/placement.ts";
import { attempt } from "../service/start-error.ts";

const err = (text: string) => process.stderr.write(`${text}\n`);
const problems: string[] = [];
const placement = attempt(() => readPlacement(process.env, []), problems);
if (placement) {
  process.exitCode = runKeys({
    directory: join(placement.dataDir, "keys"),
    args: process.argv.slice(2),
    out: (text) => process.stdout.write(`${text}\n`),
    err,
  });
} else {
  err(problems.join("\n"));
  process.exitCode = 2;
}
