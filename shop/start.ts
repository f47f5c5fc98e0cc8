// `npm start`: the whole system in one terminal.
import { enableCompileCache } from "node:module";
import { compileCacheDir } from "./compile-cache.js";

// Before anything that is worth keeping is loaded.
const cache = compileCacheDir();
if (cache !== undefined) enableCompileCache(cache);
const { outliveReaders } = await import("./service/standard-output.ts");
const { patientOutput } = await import("./supervisor/patient-output.ts");
const { run } = await import("./supervisor/run.ts");

outliveReaders();

process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: patientOutput(process.stdout),
  err: patientOutput(process.stderr),
  exit: (code) => process.exit(code),
});
