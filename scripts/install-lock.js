// One install at a time: the others wait. Plain JavaScript, because it runs before anything is installed.
import { execFileSync } from "node:child_process";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** How often a waiting process looks again. Milliseconds. */
const pollMs = 200;

/** Much longer than the step from reading a dead owner's lock to replacing it. Milliseconds. */
const settleMs = 500;

/**
 * Takes the lock `file`, which holds its owner's process id and start time, so that the lock of a process that died
 * does not hold. Calls `waiting` once with the process id of an owner that lives, and asks `isNeeded` between looks.
 *
 * @returns a function that releases it, or undefined when the lock is no longer needed.
 */
export async function takeLock(file, { waiting, isNeeded }) {
  const me = `${process.pid} ${startOf(process.pid)}`;
  const mine = `${file}-${process.pid}`;
  let told = false;
  while (isNeeded()) {
    const owner = ownerIn(file);
    if (owner === undefined) {
      if (writeTo(mine, () => linkSync(mine, file))) return release;
    } else if (isAlive(owner)) {
      if (!told) waiting(owner.split(" ")[0]);
      told = true;
      await delay(pollMs);
    } else if (ownerIn(file) === owner) {
      writeTo(mine, () => renameSync(mine, file));
      // Two that found the same dead owner replace each other's lock at once: the last one has it.
      await delay(settleMs);
      if (ownerIn(file) === me) return release;
    }
  }
  return undefined;

  /** The content is there before the name is, so no reader ever sees half of it. */
  function writeTo(path, publish) {
    writeFileSync(path, me);
    try {
      publish();
      return true;
    } catch (error) {
      if (error.code === "EEXIST") return false;
      throw error;
    } finally {
      rmSync(path, { force: true });
    }
  }

  function release() {
    rmSync(file, { force: true });
  }
}

function ownerIn(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

function isAlive(owner) {
  const [pid, ...start] = owner.split(" ");
  return startOf(pid) === start.join(" ");
}

/** Tells a process from a later one with the same id; undefined when there is none, or one that is dead already. */
function startOf(pid) {
  try {
    if (process.platform === "linux") {
      // After the name in parentheses: the state, then, as the 20th, the time of the start.
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      return fields[0] === "Z" ? undefined : fields[19];
    }
    process.kill(Number(pid), 0);
    if (process.platform === "win32") return "running";
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", env: { LC_ALL: "C" } }).trim();
  } catch {
    return undefined;
  }
}
