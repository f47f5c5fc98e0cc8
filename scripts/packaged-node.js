// The Node that is packaged for this host, for programs that begin under an older one: so this is plain JavaScript.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const majorNeeded = 24;

/** Whether the Node that runs this can run the project. */
export const isNodeNewEnough = Number(process.versions.node.split(".")[0]) >= majorNeeded;

/** Whether a path of the lock file is that of a packaged Node, for this host or another. */
export function isPackagedNode(path) {
  return /^node_modules\/node-(linux|darwin|win)-/.test(path);
}

/** Runs the packaged Node with `args` in this process's place: with its input, output and signals, and its exit code. */
export function runPackagedNode(args) {
  const { platform, arch, versions } = process;
  const [host, file] = platform === "win32" ? ["win", "node.exe"] : [platform, "node"];
  const node = fileURLToPath(new URL(`../node_modules/node-${host}-${arch}/bin/${file}`, import.meta.url));
  if (!existsSync(node)) {
    fail(
      `Flotilla needs Node ${majorNeeded}; this is ${versions.node}, and no runtime is packaged for ${platform}-${arch}. ` +
        `Install Node ${majorNeeded} or later and run the command again.`,
    );
    return;
  }
  const program = spawn(node, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => program.kill(signal));
  program.on("error", (error) => fail(`The packaged Node cannot run here: ${error.message}`));
  program.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}
