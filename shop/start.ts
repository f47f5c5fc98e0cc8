// `npm start`: the whole system in one terminal.
import { outliveReaders } from "./service/standard-output.ts";
import { patientOutput } from "./supervisor/patient-output.ts";
import { run } from "./supervisor/run.ts";

outliveReaders();

process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: patientOutput(process.stdout),
  err: patientOutput(process.stderr),
  exit: (code) => process.exit(code),
});
