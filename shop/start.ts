// `npm start`: the whole system in one terminal.
import { enableCompileCache } from "node:module";
import { compileCacheDir } from "./compile-cache.js";

// Before anything that is worth keeping is loaded.
const cache = compileCacheDir();
if (cache !== undefined) enableCompileCache(cache);
const { patientOutput } = await import("./supervisor/patient-output.ts");
const { run } = await import("./supervisor/run.ts");

// Whoever read our output may have gone (`npm start | head`); the system runs on.
for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);

process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: patientOutput(process.stdout),
  err: patientOutput(process.stderr),
  exit: (code) => process.exit(code),
});
