// `node scripts/setup.js [--dev] [--also FOLDER] [FILE [ARGUMENT...]]`: installs what is missing, those packages that only
// development needs with `--dev`, and those of FOLDER too; then runs FILE on the project's Node. Every npm script begins
// here, under whatever Node the host has (>= 20), so this is plain JavaScript. It is no `pre` script, because npm skips
// those with `ignore-scripts`.
import Module from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InstallError, install } from "./install.js";
import { isNodeNewEnough, runPackagedNode } from "./packaged-node.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const [self, ...words] = process.argv.slice(1);
const dev = take("--dev");
const folders = [root, ...(take("--also") ? [join(root, words.shift())] : [])];

endWithNpm();
try {
  for (const folder of folders) await install({ folder, dev, say });
  if (words.length > 0) run(...words);
} catch (error) {
  if (!(error instanceof InstallError)) throw error;
  say(`${error.message} Nothing was started.`);
  process.exitCode = error.exitCode;
}

function take(flag) {
  if (words[0] !== flag) return false;
  words.shift();
  return true;
}

function run(file, ...args) {
  // The host's Node was found before ours was installed.
  if (!isNodeNewEnough) runPackagedNode([self, file, ...args]);
  else {
    process.argv.splice(1, process.argv.length, resolve(root, file), ...args);
    // As if it had been named on the command line: not `import()`, in which it would not be the main module.
    Module.runMain();
  }
}

/**
 * A killed npm takes nothing with it, so what it ran notices and ends as by SIGTERM. Only below npm's own script: what
 * somebody detached on purpose loses its parent too.
 */
function endWithNpm() {
  if (process.platform === "win32" || !process.env.npm_lifecycle_script?.includes("scripts/setup.js")) return;
  const parent = process.ppid;
  const everyMs = 500;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, everyMs);
  timer.unref();
}

function say(text) {
  process.stderr.write(`${text}\n`);
}
