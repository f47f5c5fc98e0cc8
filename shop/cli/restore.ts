// `npm run restore -- DIR`: a data directory made from a backup.
import { runRestore } from "../backup/run.ts";

process.exitCode = await runRestore({
  args: process.argv.slice(2),
  env: process.env,
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
});
