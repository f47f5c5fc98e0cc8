// `npm run demo`: the ten steps of the specification, on the system that runs here or else on one of its own.
import { outliveReaders } from "../service/standard-output.ts";
import { runDemo } from "./run-demo.ts";

outliveReaders();

process.exitCode = await runDemo({
  env: process.env,
  out: process.stdout,
  err: process.stderr,
  exit: (code) => process.exit(code),
});
