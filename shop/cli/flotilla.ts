// `flotilla`: the process entry of the command line; see run-cli.ts.
import { reportLostOutput } from "../service/standard-output.ts";
import { runCli } from "./run-cli.ts";

reportLostOutput();
const exitCode = await runCli({
  args: process.argv.slice(2),
  env: process.env,
  input: process.stdin,
  out: process.stdout,
  err: process.stderr,
  exit: (code) => process.exit(code),
});
process.exitCode ||= exitCode;
