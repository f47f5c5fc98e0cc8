import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runInShell } from "./npm.ts";
import { isAlive } from "./npm-start.ts";
import { strayFilesIn, until } from "./process-harness.ts";
import { killGroup, type Program } from "./run-program.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const isWindows = process.platform === "win32";
const anyPort = { FLOTILLA_GATEWAY_PORT: "0", FLOTILLA_USERS_PORT: "0", FLOTILLA_ORDERS_PORT: "0" };

let dataDir = "";
let running: Program[] = [];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-npm-"));
});
afterEach(() => {
  for (const each of running) killGroup(each);
  running = [];
  rmSync(dataDir, { recursive: true, force: true });
});

function run(...command: string[]): Program {
  const its = runInShell(command, { cwd: root, env: { ...anyPort, FLOTILLA_DATA: dataDir } });
  running.push(its);
  return its;
}

/** A store that was closed has no files beside it, one that was killed has; and nobody writes there any more. */
const drained = () => existsSync(join(dataDir, "users.db")) && strayFilesIn(dataDir).length === 0;

const commands = { users: /Press Ctrl\+C to stop/, start: /Flotilla is ready(.|\n)*Press Ctrl\+C to stop/ };

test.skipIf(isWindows).each(["users", "start"] as const)("SIGTERM to npm drains what npm run %s runs", async (name) => {
  const npm = run("npm", "run", name);
  await npm.says(commands[name]);
  npm.child.kill("SIGTERM");
  // npm ends when its program did, with the program's exit code.
  expect((await npm.ended).code).toBe(0);
  expect(drained()).toBe(true);
});

test.skipIf(isWindows).each([
  ["users", "SIGKILL"],
  ["start", "SIGKILL"],
  ["users", "SIGHUP"],
] as const)("what npm run %s runs drains when its npm dies of %s", async (name, signal) => {
  const npm = run("npm", "run", name);
  await npm.says(commands[name]);
  npm.child.kill(signal);
  // Not before the last process has closed the pipe.
  await npm.ended;
  expect(drained()).toBe(true);
});

test.skipIf(isWindows)("a Ctrl+C, which npm passes on beside the terminal's, drains", async () => {
  const npm = run("npm", "run", "users");
  await npm.says(commands.users);
  process.kill(-npm.child.pid!, "SIGINT");
  await npm.ended;
  expect(drained()).toBe(true);
});

test.skipIf(isWindows)("a service whose parent leaves it on purpose goes on", async () => {
  const shell = run("sh", "-c", 'node_modules/.bin/node shop/users/main.ts & echo "pid $!."');
  const output = await shell.says(/pid \d+\.(.|\n)*running on (\S+)/);
  const pid = Number(/pid (\d+)/.exec(output)?.[1]);
  expect(isAlive(shell.child.pid!)).toBe(false);
  expect((await fetch(`${/running on (\S+)/.exec(output)?.[1]}/readyz`)).status).toBe(200);
  process.kill(pid, "SIGTERM");
  await shell.ended;
  expect(drained()).toBe(true);
});

const ownProcesses = ["--pid", "--fork", "--mount-proc", "--kill-child"];
const hasUnshare = spawnSync("unshare", [...ownProcesses, "true"]).status === 0;

// Needs Linux, unshare, and the right to make a namespace of process ids, as root has it.
test.skipIf(!hasUnshare).each([
  ["npm", "run", "users"],
  ["npm", "start"],
  ["node_modules/.bin/node", "shop/users/main.ts"],
  ["node_modules/.bin/node", "shop/start.ts"],
])("as process 1 of a container %s %s drains on SIGTERM", async (...command) => {
  const container = run("unshare", ...ownProcesses, ...command);
  await container.says(/Press Ctrl\+C to stop/);
  const first = readFileSync(`/proc/${container.child.pid}/task/${container.child.pid}/children`, "utf8").trim();
  process.kill(Number(first), "SIGTERM");
  expect((await container.ended).code).toBe(0);
  await until(drained, "it has drained");
});
