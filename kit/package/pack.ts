import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { glob, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { stagePackage } from "./stage.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const outDir = join(root, "kit", "dist");

const lockPollMs = 100;

/** All that the tarball is made of, and by. */
const inputs = [
  "kit/package.json",
  "kit/README.md",
  "kit/src/**/*.ts",
  "kit/package/*.ts",
  "tsconfig.json",
  "package-lock.json",
  "LICENSE",
  "CHANGELOG.md",
];

/**
 * Packs the kit as it is published, unless a tarball of these very inputs is there.
 * Several processes may ask at once: one builds, in a folder of its own, and the tarball appears whole.
 *
 * @returns the path of the tarball.
 */
export async function packKit(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(root, "kit", "package.json"), "utf8")) as { version: string };
  const tarball = join(outDir, `flotilla-kit-${version}.tgz`);
  const record = join(outDir, "inputs.sha256");
  const wanted = await hashInputs();
  const isMade = async () => existsSync(tarball) && (await readFile(record, "utf8").catch(() => "")) === wanted;
  await mkdir(outDir, { recursive: true });
  if (await isMade()) return tarball;
  const unlock = await lock(join(outDir, `${wanted.slice(0, 16)}.lock`));
  const dir = await mkdtemp(join(outDir, ".build-"));
  try {
    if (await isMade()) return tarball;
    await stagePackage(dir);
    const packed = await npmPack(dir);
    await rm(record, { force: true });
    await rename(packed, tarball);
    await writeFile(record, wanted);
    return tarball;
  } finally {
    await rm(dir, { recursive: true, force: true });
    await unlock();
  }
}

/**
 * Waits for another process that makes the same. It saves work and no more: should two hold it, after one that was
 * killed, both make the same tarball.
 */
async function lock(file: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      await writeFile(file, `${process.pid}`, { flag: "wx" });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const holder = Number(await readFile(file, "utf8").catch(() => ""));
      if (holder > 0 && !isAlive(holder)) await rm(file, { force: true });
      else await delay(lockPollMs);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function hashInputs(): Promise<string> {
  const paths: string[] = [];
  for await (const path of glob(inputs, { cwd: root })) paths.push(path);
  const hash = createHash("sha256");
  for (const path of paths.sort())
    hash
      .update(`${path}\0`)
      .update(await readFile(join(root, path)))
      .update("\0");
  return hash.digest("hex");
}

async function npmPack(dir: string): Promise<string> {
  const npm = process.env.npm_execpath;
  const [command, first] = npm ? [process.execPath, [npm]] : ["npm", []];
  const args = [...first, "pack", "--json", "--ignore-scripts", "--loglevel=error"];
  const { stdout } = await run(command, args, { cwd: dir, shell: !npm && process.platform === "win32" });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  if (!packed) throw new Error(`npm pack made no tarball: ${stdout}`);
  return join(dir, packed.filename);
}

if (import.meta.main) console.log(await packKit());
