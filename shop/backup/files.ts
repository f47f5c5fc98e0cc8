import { constants, copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory, syncFile } from "../service/sync.ts";

/** Copies to a new file, with its mode; it is on disk when this returns. */
export function copyFile(from: string, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  syncFile(to);
}

/**
 * Copies the files of the directory `from`, as far as `isOurs` says so, into a new directory `to`. One that is gone
 * before it was copied is left out: files there are made and removed, and never changed.
 */
export function copyFiles(from: string, to: string, isOurs: (name: string) => boolean): void {
  mkdirSync(to, { mode: 0o700 });
  for (const name of namesIn(from).filter(isOurs)) {
    try {
      copyFile(join(from, name), join(to, name));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  syncDirectory(to);
}

/** What is in `directory`; nothing if there is none. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
