// `npm start`: the whole system in one terminal.
import { patientOutput } from "./supervisor/patient-output.ts";
import { run } from "./supervisor/run.ts";

// Whoever read our output may have gone (`npm start | head`); the system runs on.
for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);

process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: patientOutput(process.stdout),
  err: patientOutput(process.stderr),
  exit: (code) => process.exit(code),
});
