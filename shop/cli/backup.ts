// `npm run backup -- DIR`: a copy of the stores and keys of a system, which may be running.
import { runBackup } from "../backup/run.ts";
import { reportLostOutput } from "../service/standard-output.ts";
import { lines } from "./text.ts";

reportLostOutput();
const exitCode = await runBackup({
  args: process.argv.slice(2),
  env: process.env,
  out: (text) => process.stdout.write(`${lines(text.split("\n"))}\n`),
  err: (text) => process.stderr.write(`${lines(text.split("\n"))}\n`),
});
process.exitCode ||= exitCode;
