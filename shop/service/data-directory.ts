import { accessSync, chmodSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { FlotillaError } from "@flotilla/kit";

/** Only the owner may enter: the directory holds password hashes and the keys by which services know each other. */
const directoryMode = 0o700;
const othersMask = 0o077;
const stickyBit = 0o1000;

/** In a data directory into which a backup is being restored. */
export const restoringName = "restoring";

/**
 * The absolute path of the directory at `path`, which exists afterwards and is closed to everybody else. One of ours
 * that is open to others is closed; one that belongs to somebody else, or that is shared as `/tmp` is, is refused with
 * `failed_precondition`, calling it `what`. Windows has no such modes: access lists are left to the operator there.
 */
export function openDataDirectory(path: string, what = "data directory"): string {
  const directory = resolve(path);
  make(directory, what);
  if (existsSync(join(directory, restoringName))) {
    const message = `A restore into ${directory} was not finished, so it has a part of it: restore it again`;
    throw new FlotillaError("failed_precondition", message, { reason: "restore_unfinished" });
  }
  assertWritable(directory, what);
  if (process.platform === "win32") return directory;
  const { uid, mode } = statSync(directory);
  if ((mode & othersMask) === 0 && uid === process.getuid?.()) return directory;
  if (uid !== process.getuid?.()) throw refusal(`${what} ${directory}`, "belongs to another user");
  if ((mode & stickyBit) !== 0) throw refusal(`${what} ${directory}`, "is shared with other users");
  chmodSync(directory, directoryMode);
  return directory;
}

function make(directory: string, what: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: directoryMode });
  } catch (cause) {
    throw new FlotillaError("failed_precondition", `The ${what} ${directory} cannot be made`, {
      reason: "data_directory_refused",
      cause,
    });
  }
}

/** Also where the disk has failed and the system lets it only be read from now on. */
function assertWritable(directory: string, what: string): void {
  try {
    accessSync(directory, constants.W_OK);
  } catch (cause) {
    const isReadOnly = cause instanceof Error && "code" in cause && cause.code === "EROFS";
    const message = `The ${what} ${directory} cannot be written to${isReadOnly ? ": its file system is read-only" : ""}`;
    throw new FlotillaError("failed_precondition", message, { reason: "data_directory_refused", cause });
  }
}

function refusal(directory: string, why: string): FlotillaError {
  return new FlotillaError(
    "failed_precondition",
    `The ${directory} ${why}; name one inside it that does not exist yet`,
    { reason: "data_directory_refused" },
  );
}
