import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own, in memory, that holds little. */
export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Takes all that is left of it. */
  fill(): void;
  /** Gives back what `fill` took. */
  free(): void;
}

/** Whether this machine lets us mount one: Linux, and root. */
export const canMount = process.platform === "linux" && process.getuid?.() === 0 && tryToMount();

/** Disposing unmounts it: nothing may be using it any more. */
export function mountSmallDisk(bytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "flotilla-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "tmpfs", path], { stdio: "pipe" });
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  const ballast = join(path, "ballast");
  return {
    path,
    fill: () => fillWith(ballast),
    free: () => rmSync(ballast, { force: true }),
    [Symbol.dispose]() {
      execFileSync("umount", [path]);
      rmdirSync(path);
    },
  };
}

/** Until there is no room for one more byte: first by pages, then by what is left of the last. */
function fillWith(file: string): void {
  const descriptor = openSync(file, "a");
  try {
    for (const size of [4_096, 1]) {
      const chunk = Buffer.alloc(size);
      while (hasRoom(() => writeSync(descriptor, chunk)));
    }
  } finally {
    closeSync(descriptor);
  }
}

function hasRoom(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}

function tryToMount(): boolean {
  try {
    mountSmallDisk(65_536)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}
