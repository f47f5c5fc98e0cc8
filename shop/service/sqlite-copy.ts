import { closeSync, openSync, unlinkSync } from "node:fs";
import { backup, type DatabaseSync } from "node:sqlite";
import { FlotillaError } from "@flotilla/kit";
import { storeError } from "./sqlite-error.ts";

/** Pages copied at a time. Meanwhile the store waits: half a megabyte, about a millisecond. */
const pagesAtATime = 128;
/** A step that falls into a unit of work is refused by SQLite; only the very first ends the copy. */
const attemptsMax = 100;

/**
 * Copies `db`, which may be written to meanwhile, to the new file `to`, readable by its owner only: as it is at one
 * moment between this call and its end, and on disk when the promise resolves. SQLite's own online backup, on another
 * thread; units of work run between its steps.
 */
export async function copySqlite(db: DatabaseSync, to: string): Promise<void> {
  make(to);
  try {
    for (let attempt = 1; !(await tryToCopy(db, to, attempt < attemptsMax)); attempt += 1);
  } catch (error) {
    unlinkSync(to);
    throw storeError(error);
  }
}

async function tryToCopy(db: DatabaseSync, to: string, mayFail: boolean): Promise<boolean> {
  try {
    await backup(db, to, { rate: pagesAtATime });
    return true;
  } catch (error) {
    if (!mayFail || !isBusy(error)) throw error;
    return false;
  }
}

function isBusy(error: unknown): boolean {
  // BUSY and LOCKED; and 0, "not an error", which is what Node says of a first step that was BUSY: it asks the connection,
  // where SQLite does not note that.
  return error instanceof Error && "errcode" in error && [0, 5, 6].includes(error.errcode as number);
}

function make(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    throw new FlotillaError(
      isThere ? "already_exists" : "failed_precondition",
      isThere ? `${file} exists` : `${file} cannot be made`,
      { reason: "copy", cause },
    );
  }
}
