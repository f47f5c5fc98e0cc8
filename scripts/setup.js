// `node scripts/setup.js [--dev] [--also FOLDER] [FILE [ARGUMENT...]]`: installs what is missing, those packages that only
// development needs with `--dev`, and those of FOLDER too; then runs FILE on the project's Node. Every npm script begins
// here, under whatever Node the host has (>= 20), so this is plain JavaScript. It is no `pre` script, because npm skips
// those with `ignore-scripts`.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import Module from "node:module";
import { constants } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InstallError, install } from "./install.js";

const nodeMajorNeeded = 24;
const root = fileURLToPath(new URL("..", import.meta.url));
const [self, ...words] = process.argv.slice(1);
const dev = take("--dev");
const folders = [root, ...(take("--also") ? [join(root, words.shift())] : [])];

endWithNpm();
try {
  for (const folder of folders) await install({ folder, dev, nodeMajorNeeded, say });
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
  if (Number(process.versions.node.split(".")[0]) >= nodeMajorNeeded) {
    process.argv.splice(1, process.argv.length, resolve(root, file), ...args);
    // As if it had been named on the command line: not `import()`, in which it would not be the main module.
    Module.runMain();
    return;
  }
  // The host's Node was found before ours was installed.
  const node = packagedNode();
  if (existsSync(node)) handOver(node, [self, file, ...args]);
  else {
    say(
      `Flotilla needs Node ${nodeMajorNeeded}; this is ${process.versions.node}, and no runtime is packaged for ` +
        `${process.platform}-${process.arch}. Install Node ${nodeMajorNeeded} or later and run the command again.`,
    );
    process.exitCode = 1;
  }
}

function packagedNode() {
  const { platform, arch } = process;
  const isWindows = platform === "win32";
  const name = `node-${isWindows ? "win" : platform}-${arch}`;
  return join(root, "node_modules", name, "bin", isWindows ? "node.exe" : "node");
}

function handOver(node, args) {
  const program = spawn(node, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => program.kill(signal));
  program.on("error", (error) => {
    say(`The packaged Node cannot run here: ${error.message}`);
    process.exitCode = 1;
  });
  program.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
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
