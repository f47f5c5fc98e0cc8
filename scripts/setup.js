// Runs before every npm script that needs the project's dependencies, under whatever Node the host has (>= 20), so it
// is plain JavaScript. Installs from the lock file when that was not done yet, and checks that Node 24 is there. With a
// folder as its argument it installs from that folder's lock file instead.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, process.argv[2] ?? "");
const nodeMajorNeeded = 24;

/** npm writes this file last, so it is there only after an install that finished. */
const installedLock = join(folder, "node_modules", ".package-lock.json");

if (!isInstalled()) {
  process.stderr.write(`Installing dependencies${process.argv[2] ? ` of ${process.argv[2]}` : ""} (once) ...\n`);
  const npm = process.env.npm_execpath;
  const [command, args] = npm ? [process.execPath, [npm]] : ["npm", []];
  const flags = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const done = spawnSync(command, [...args, ...flags], { cwd: folder, stdio: ["ignore", 2, 2], shell: !npm });
  if (done.status !== 0) {
    process.stderr.write("npm ci failed; nothing was started.\n");
    process.exit(1);
  }
}

const found = nodeVersionOnPath();
if (Number(found.split(".")[0]) < nodeMajorNeeded) {
  process.stderr.write(
    `Flotilla needs Node ${nodeMajorNeeded}; this host has ${found}, and no packaged runtime exists for ` +
      `${process.platform}-${process.arch}. Please install Node ${nodeMajorNeeded} and run the command again.\n`,
  );
  process.exit(1);
}

function isInstalled() {
  if (!existsSync(installedLock)) return false;
  // An install that is older than the lock file (after a pull) is done again.
  const wanted = packagesOf(join(folder, "package-lock.json"));
  const have = packagesOf(installedLock);
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === "" || entry.optional || entry.link || !entry.version || have[path]?.version === entry.version,
  );
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

/** npm scripts put node_modules/.bin first on the PATH, which is where the packaged Node 24 stands. */
function nodeVersionOnPath() {
  const bin = join(root, "node_modules", ".bin");
  const path = `${bin}${process.platform === "win32" ? ";" : ":"}${process.env.PATH}`;
  return execFileSync("node", ["-p", "process.versions.node"], {
    env: { ...process.env, PATH: path },
    encoding: "utf8",
    shell: process.platform === "win32",
  }).trim();
}
