import { basename } from "node:path";
import { FlotillaError } from "@flotilla/kit";
import { waysOut } from "./store-marker.ts";

/** Primary result codes of SQLite that may pass: somebody holds the file, or the disk is full or failing. */
const passing: ReadonlySet<number> = new Set([
  5, // BUSY
  6, // LOCKED
  7, // NOMEM
  8, // READONLY
  10, // IOERR
  13, // FULL
  14, // CANTOPEN
]);

/** CORRUPT and NOTADB. */
const damaged: ReadonlySet<number> = new Set([11, 26]);

/**
 * What a store throws in place of `thrown`: `unavailable` where trying again may help, `internal` for a damaged file.
 * The driver's own error is the cause, for the log. What is not the driver's is returned unchanged.
 */
export function storeError(thrown: unknown): unknown {
  const code = primaryCode(thrown);
  if (code === undefined) return thrown;
  if (passing.has(code)) {
    return new FlotillaError("unavailable", "The store cannot be used now", { reason: "store", cause: thrown });
  }
  if (damaged.has(code)) {
    return new FlotillaError("internal", "The store is damaged", { reason: "store_damaged", cause: thrown });
  }
  return thrown;
}

export function closedError(): FlotillaError {
  return new FlotillaError("unavailable", "The store is closed", { reason: "store" });
}

/** Why a store refuses to open; for the operator who starts the service, so it names the file. */
export function openError(thrown: unknown, file: string): unknown {
  const code = primaryCode(thrown);
  if (code === undefined) return thrown;
  if (code === 5 || code === 6) {
    const message = `The store ${file} is in use by another process; one process owns it at a time`;
    return new FlotillaError("unavailable", message, { reason: "store_in_use", cause: thrown });
  }
  if (damaged.has(code)) return damageError(file, thrown);
  const kind = passing.has(code) ? "unavailable" : "internal";
  const message = `The store ${file} cannot be opened${whyOf(thrown)}`;
  return new FlotillaError(kind, message, { reason: "store", cause: thrown });
}

/** `cause` says what was found. */
export function damageError(file: string, cause: unknown): FlotillaError {
  const advice = waysOut(basename(file, ".db"), file);
  const message = `The store ${file} is damaged: the service does not start on it. ${advice}`;
  return new FlotillaError("failed_precondition", message, { reason: "store_damaged", cause });
}

/** SQLite's fixed text for the result code, which quotes neither SQL nor data. */
function whyOf(thrown: unknown): string {
  return thrown instanceof Error && "errstr" in thrown ? `: ${String(thrown.errstr)}` : "";
}

/** Without the extension in the upper bits, so that every kind of IOERR is IOERR. Undefined if it is not SQLite's. */
function primaryCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !("errcode" in thrown) || typeof thrown.errcode !== "number") return undefined;
  return thrown.errcode & 0xff;
}
