// Installs what a lock file lists and is not there. Plain JavaScript for Node 20, because nothing is installed yet.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { takeLock } from "./install-lock.js";
import { isNodeNewEnough, isPackagedNode } from "./packaged-node.js";

/** Beside node_modules, and ignored by git: the lock, and the directories in which installs are made. */
const workPrefix = ".setup-";

/** A directory of an install holds the old node_modules under this name during the swap. */
const oldName = "old";

/** Something is missing and cannot be installed; the message says what to do. */
export class InstallError extends Error {
  name = "InstallError";
  exitCode = 1;
}

/**
 * Makes sure that the packages of `folder` are there; those for development only with `dev`. A running system may load
 * from `node_modules` at any time, so the new one is made beside it and takes its place by a rename; the old one is
 * complete until then, and so is the new one from then on, whenever this is interrupted. A signal ends npm and then throws
 * InstallError, with nothing left behind.
 */
export async function install({ folder, dev, say }) {
  const missing = () => missingIn(folder, dev);
  if (missing().length === 0) return;
  const release = await cannot(folder, "start an install", () =>
    takeLock(join(folder, ".setup.lock"), {
      waiting: (pid) => say(`Waiting for process ${pid}, which is installing dependencies ...`),
      isNeeded: () => missing().length > 0,
    }),
  );
  if (!release) return;
  try {
    await removeLeftovers(folder);
    if (missing().length === 0) return;
    say(describe(folder, missing()));
    await untilSignalled((signal) => installAnew(folder, dev, signal));
  } finally {
    release();
  }
  const still = missing();
  if (still.length > 0) {
    throw new InstallError(
      `npm installed no ${nameAll(still)}, which this host (${process.platform}-${process.arch}) needs. ` +
        "See whether your npm settings leave it out, and run npm ci.",
    );
  }
}

/** Paths of packages that are needed and not there. A name in npm's own list is not enough: npm may have been killed. */
function missingIn(folder, dev) {
  const wanted = packagesOf(join(folder, "package-lock.json"));
  const have = installedIn(folder);
  return Object.entries(wanted)
    .filter(([path, entry]) => {
      if (!path.startsWith("node_modules/")) return false;
      if (entry.link) return !existsSync(join(folder, path, "package.json"));
      if ((entry.dev || entry.devOptional) && !dev) return false;
      if (have[path]?.version === entry.version && existsSync(join(folder, path, "package.json"))) return false;
      // When no Node is packaged for this host, the one that runs this runs the rest.
      return !entry.optional || (isForThisHost(entry) && !(isPackagedNode(path) && isNodeNewEnough));
    })
    .map(([path]) => path);
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

/** npm writes this file last. */
function installedIn(folder) {
  try {
    return packagesOf(join(folder, "node_modules", ".package-lock.json"));
  } catch {
    return {};
  }
}

/** Optional packages are the native parts, one for each kind of host; one that names no host is never needed. */
function isForThisHost({ os, cpu, libc }) {
  const names = (list, value) => list !== undefined && [list].flat().includes(value);
  return names(os, process.platform) && names(cpu, process.arch) && (libc === undefined || names(libc, libcHere()));
}

function libcHere() {
  const cpu = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
  if (!existsSync(`/lib/ld-musl-${cpu}.so.1`)) return "glibc";
  // Some hosts have both. A report tells which one runs this, but takes 60 ms.
  return process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
}

function describe(folder, missing) {
  const of = /bench.?$/.test(folder) ? " of the benchmark" : "";
  const isFirst = !existsSync(join(folder, "node_modules"));
  return `Installing dependencies${of} (${isFirst ? "once" : `missing: ${nameAll(missing)}`}) ...`;
}

function nameAll(paths) {
  const [first, ...rest] = paths.map((path) => path.replace(/^.*node_modules\//, ""));
  return rest.length === 0 ? first : `${first} and ${rest.length} more`;
}

/** Removes the directories of installs that ended, after putting back the node_modules of a swap that was cut off. */
async function removeLeftovers(folder) {
  const modules = join(folder, "node_modules");
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(workPrefix)) continue;
    const old = join(folder, name, oldName);
    if (!existsSync(modules) && existsSync(old))
      await cannot(folder, "get back its node_modules", () => renameSync(old, modules));
    // The npm of an install that was killed may still be writing there; what it leaves goes next time.
    remove(join(folder, name));
  }
}

/** Aborts the signal of `work` when this process gets one of the system, and throws InstallError once `work` has ended. */
async function untilSignalled(work) {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"];
  const controller = new AbortController();
  const end = (name) => {
    const error = new InstallError(`${name} ended the install.`);
    error.exitCode = 128 + constants.signals[name];
    controller.abort(error);
  };
  for (const name of names) process.on(name, end);
  try {
    await work(controller.signal);
  } finally {
    // Signals that arrived during the last synchronous step are told now.
    await nextTurn();
    for (const name of names) process.off(name, end);
    controller.signal.throwIfAborted();
  }
}

async function installAnew(folder, dev, signal) {
  const work = await cannot(folder, "be written", () => mkdtempSync(join(folder, workPrefix)));
  try {
    copyManifests(folder, work);
    const hadDev = Object.values(installedIn(folder)).some((entry) => entry.dev);
    // Native parts are optional for npm, which leaves them out on other hosts, and not for us.
    await npmCi(work, ["--include=optional", ...(dev || hadDev ? ["--include=dev"] : [])], signal);
    await cannot(folder, "get a new node_modules", () => swap(folder, work));
  } finally {
    await removeLeftovers(folder);
  }
}

/** Files that npm reads: the lock file, its settings, and each workspace's manifest and programs to link. */
function copyManifests(folder, work) {
  const copy = (path) => existsSync(join(folder, path)) && cpSync(join(folder, path), join(work, path));
  for (const file of ["package.json", "package-lock.json", ".npmrc"]) copy(file);
  for (const [path, { bin = {} }] of Object.entries(packagesOf(join(folder, "package-lock.json")))) {
    if (path === "" || path.includes("node_modules")) continue;
    for (const file of ["package.json", ...Object.values(bin)]) copy(join(path, file));
  }
}

async function npmCi(cwd, flags, signal) {
  const { npm_execpath: path = "" } = process.env;
  const isNpm = /npm-cli\.js$/.test(path);
  const [command, args] = isNpm ? [process.execPath, [path]] : ["npm", []];
  const all = [...args, "ci", "--no-audit", "--no-fund", "--loglevel=error", ...flags];
  const isWindows = process.platform === "win32";
  const options = { cwd, stdio: ["ignore", 2, 2], shell: !isNpm && isWindows, detached: !isWindows };
  const npm = spawn(command, all, options);
  signal.addEventListener("abort", () => killAll(npm));
  const [code] = await once(npm, "close").catch((error) => [error.message]);
  if (code !== 0) throw new InstallError(`npm ci failed (${code ?? "killed"}); node_modules is as it was.`);
}

/** Ends npm and the scripts that it runs, which are in a group of their own: all that they wrote is thrown away. */
function killAll(npm) {
  if (npm.exitCode !== null || npm.signalCode !== null) return;
  if (process.platform === "win32") npm.kill();
  else process.kill(-npm.pid, "SIGKILL");
}

/** When the second rename fails, or this process is killed before it, `removeLeftovers` undoes the first. */
function swap(folder, work) {
  const modules = join(folder, "node_modules");
  if (existsSync(modules)) renameSync(modules, join(work, oldName));
  renameSync(join(work, "node_modules"), modules);
}

function remove(directory) {
  try {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // Windows keeps what is in use; git ignores it, and the next install removes it.
  }
}

async function cannot(folder, what, act) {
  try {
    return await act();
  } catch (error) {
    if (error?.code === undefined) throw error;
    throw new InstallError(
      `Packages are missing, and ${folder} cannot ${what} (${error.code}). ` +
        "Stop what runs from it and run npm ci there as its owner.",
    );
  }
}
