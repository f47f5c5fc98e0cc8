import { accessSync, chmodSync, constants, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { FlotillaError } from "@flotilla/kit";

/** Only the owner may enter: the directory holds password hashes and the keys by which services know each other. */
const directoryMode = 0o700;
const othersMask = 0o077;
const othersWriteMask = 0o022;
const stickyBit = 0o1000;

/** Names that Flotilla leaves in a directory, and those of an empty file system. */
const ours = /^(keys|token-keys|supervisor\.lock.*|[\w-]+\.(db.*|store)|restoring|replaced-.*|.*\.sock|lost\+found)$/;

/** In a data directory into which a backup is being restored. */
export const restoringName = "restoring";

/**
 * The absolute path of the directory at `path`, which exists afterwards and is closed to all other users. One of ours
 * that is open to others is closed. One that belongs to another user, that is shared as `/tmp` is, or that is open and has
 * something else in it is refused with `failed_precondition`, calling it `what`: closing it would lock others out.
 * Windows has no such modes: access lists are left to the operator there.
 *
 * Root owns directories that it has not made, such as an empty `/srv`: one that others can enter and not write is left
 * as it is. The files in it are closed one by one.
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
  const foreign = readdirSync(directory).find((name) => !ours.test(name));
  if (foreign !== undefined) {
    const why = `is open to other users and holds ${foreign}, which is not Flotilla's: close it (chmod 700), or`;
    throw refusal(`${what} ${directory}`, why, "");
  }
  if (uid === 0 && (mode & othersWriteMask) === 0) return directory;
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

function refusal(directory: string, why: string, link = ";"): FlotillaError {
  const message = `The ${directory} ${why}${link} name one inside it that does not exist yet`;
  return new FlotillaError("failed_precondition", message, { reason: "data_directory_refused" });
}
