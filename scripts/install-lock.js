// One install at a time: the others wait. Plain JavaScript, because it runs before anything is installed.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How often a waiting process looks again. Milliseconds. */
const pollMs = 200;

/**
 * Takes the lock `file`. Each process asks for it by a file of its own, `<file>-<process id>-<start>`, and has the lock
 * when it looks after that and sees no other living process ask. When several ask at once, the first by name goes on and
 * the others withdraw (Burns' and Lamport's one-bit algorithm). A name is never used twice, so the file of a dead process
 * can be removed at any time, and a process removes no other's lock when it releases its own.
 *
 * Calls `waiting` once with the process id that it waits for, and asks `isNeeded` between looks.
 *
 * @returns a function that releases the lock, or undefined when the lock is no longer needed.
 */
export async function takeLock(file, { waiting, isNeeded }) {
  const me = `${process.pid}-${startOf(process.pid) ?? "unknown"}`;
  const release = () => rmSync(`${file}-${me}`, { force: true });
  let isAsking = false;
  let told = false;
  while (isNeeded()) {
    const [other] = othersAt(file, me);
    if (other === undefined) {
      if (isAsking) return release;
      writeFileSync(`${file}-${me}`, "");
      isAsking = true;
      continue;
    }
    if (other < me) {
      release();
      isAsking = false;
    }
    if (!told) waiting(pidOf(other));
    told = true;
    await delay(pollMs);
  }
  release();
  return undefined;
}

/** The other living processes that ask for the lock or have it, sorted. Removes the files of dead ones. */
function othersAt(file, me) {
  const prefix = `${basename(file)}-`;
  const owners = readdirSync(dirname(file))
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length));
  return owners.sort().filter((owner) => {
    if (owner === me) return false;
    const lives = isAlive(owner);
    if (!lives) rmSync(`${file}-${owner}`, { force: true });
    return lives;
  });
}

function pidOf(owner) {
  return Number.parseInt(owner, 10);
}

function isAlive(owner) {
  const pid = pidOf(owner);
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process belongs to another user.
    if (error.code !== "EPERM") return false;
  }
  const start = startOf(pid);
  return start === undefined || owner === `${pid}-${start}`;
}

/**
 * Tells a process from a later one with the same id; "ended" when it only waits for its parent, undefined where the system
 * does not say.
 */
function startOf(pid) {
  try {
    if (process.platform === "win32") return undefined;
    if (process.platform !== "linux") {
      const options = { encoding: "utf8", env: { LC_ALL: "C" } };
      return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], options)
        .trim()
        .replace(/\W+/g, "_");
    }
    // After the name in parentheses: the state, then, as the 20th, the time of the start.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[0] === "Z" ? "ended" : fields[19];
  } catch {
    return undefined;
  }
}
