// Installs what a lock file lists and is not there. Plain JavaScript for Node 20, because nothing is installed yet.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { takeLock } from "./install-lock.js";

/** Beside node_modules, and ignored by git: the lock, and the directories in which installs are made. */
const workPrefix = ".setup-";

/** Something is missing and cannot be installed; the message says what to do. */
export class InstallError extends Error {
  name = "InstallError";
}

/**
 * Makes sure that the packages of `folder` are there; those for development only with `dev`. A running system may load
 * from `node_modules` at any time, so the new one is made beside it and takes its place by a rename; the old one is
 * complete until then, and so is the new one from then on, whenever this is interrupted.
 */
export async function install({ folder, dev, nodeMajorNeeded, say }) {
  const missing = () => missingIn(folder, { dev, nodeMajorNeeded });
  if (missing().length === 0) return;
  const release = await cannot(folder, "start an install", () =>
    takeLock(join(folder, ".setup.lock"), {
      waiting: (pid) => say(`Waiting for process ${pid}, which is installing dependencies ...`),
      isNeeded: () => missing().length > 0,
    }),
  );
  if (!release) return;
  try {
    removeLeftovers(folder);
    say(describe(folder, missing()));
    await installAnew(folder, dev);
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
function missingIn(folder, { dev, nodeMajorNeeded }) {
  const wanted = packagesOf(join(folder, "package-lock.json"));
  const have = installedIn(folder);
  return Object.entries(wanted)
    .filter(([path, entry]) => {
      if (!path.startsWith("node_modules/")) return false;
      if (entry.link) return !existsSync(join(folder, path, "package.json"));
      if ((entry.dev || entry.devOptional) && !dev) return false;
      if (have[path]?.version === entry.version && existsSync(join(folder, path, "package.json"))) return false;
      return !entry.optional || (isForThisHost(entry) && !(isRuntime(path) && isNodeNewEnough(nodeMajorNeeded)));
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

function isRuntime(path) {
  return /^node_modules\/node-(linux|darwin|win)-/.test(path);
}

/** When no runtime is packaged, the one that runs this runs the rest. */
function isNodeNewEnough(nodeMajorNeeded) {
  return Number(process.versions.node.split(".")[0]) >= nodeMajorNeeded;
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

/** The directories of installs that were killed. */
function removeLeftovers(folder) {
  for (const name of readdirSync(folder)) {
    // The npm of an install that was killed may still be writing there; what it leaves goes next time.
    if (name.startsWith(workPrefix)) remove(join(folder, name));
  }
}

async function installAnew(folder, dev) {
  const work = await cannot(folder, "be written", () => mkdtempSync(join(folder, workPrefix)));
  try {
    copyManifests(folder, work);
    const hadDev = Object.values(installedIn(folder)).some((entry) => entry.dev);
    // Native parts are optional for npm, which leaves them out on other hosts, and not for us.
    await npmCi(work, ["--include=optional", ...(dev || hadDev ? ["--include=dev"] : [])]);
    await cannot(folder, "get a new node_modules", () => swap(folder, work));
  } finally {
    remove(work);
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

async function npmCi(cwd, flags) {
  const { npm_execpath: path = "" } = process.env;
  const isNpm = /npm-cli\.js$/.test(path);
  const [command, args] = isNpm ? [process.execPath, [path]] : ["npm", []];
  const all = [...args, "ci", "--no-audit", "--no-fund", "--loglevel=error", ...flags];
  const npm = spawn(command, all, { cwd, stdio: ["ignore", 2, 2], shell: !isNpm && process.platform === "win32" });
  const [code] = await once(npm, "close").catch((error) => [error.message]);
  if (code !== 0) throw new InstallError(`npm ci failed (${code ?? "killed"}); node_modules is as it was.`);
}

function swap(folder, work) {
  const modules = join(folder, "node_modules");
  const old = join(work, "old");
  const hadOne = existsSync(modules);
  if (hadOne) renameSync(modules, old);
  try {
    renameSync(join(work, "node_modules"), modules);
  } catch (error) {
    if (hadOne) renameSync(old, modules);
    throw error;
  }
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
    if (error.code === undefined) throw error;
    throw new InstallError(
      `Packages are missing, and ${folder} cannot ${what} (${error.code}). ` +
        "Stop what runs from it and run npm ci there as its owner.",
    );
  }
}
