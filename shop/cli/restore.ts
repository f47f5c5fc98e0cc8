// `npm run restore -- DIR`: a data directory made from a backup.
import { runRestore } from "../backup/run.ts";
import { reportLostOutput } from "../service/standard-output.ts";
import { lines } from "./text.ts";

reportLostOutput();
const exitCode = await runRestore({
  args: process.argv.slice(2),
  env: process.env,
  out: (text) => process.stdout.write(`${lines(text.split("\n"))}\n`),
  err: (text) => process.stderr.write(`${lines(text.split("\n"))}\n`),
});
process.exitCode ||= exitCode;
