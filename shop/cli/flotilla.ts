// `flotilla`: the process entry of the command line; see run-cli.ts.
import { runCli } from "./run-cli.ts";

/** Who reads no further, as `head` does, is no error; a full disk is. */
for (const output of [process.stdout, process.stderr]) {
  output.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    process.exitCode = 1;
    if (output === process.stdout) process.stderr.write(`✗ The output cannot be written: ${error.message}\n`);
  });
}

const exitCode = await runCli({
  args: process.argv.slice(2),
  env: process.env,
  input: process.stdin,
  out: process.stdout,
  err: process.stderr,
  exit: (code) => process.exit(code),
});
process.exitCode ||= exitCode;
