import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StartError } from "../service/start-error.ts";

export interface Lock {
  /** Doing it twice does nothing. */
  release(): void;
}

/** Two that start at the same moment are in each other's way this long at most; one of them wins. Milliseconds. */
const lockMsMax = 250;

/** A connection that is garbage is closed and its lock gone, so ours are kept here until they are released. */
const held = new Set<DatabaseSync>();

/**
 * One system per data directory. The lock is the operating system's on an SQLite file, so it ends with the process
 * however that ends, and no stale file can keep anybody out. Makes the directory (mode 0700) when it is not there.
 * Throws `StartError` when another process holds it, naming that process.
 * @param orElse what a person can do other than stop that process, to follow "Stop it first".
 */
export function lockDataDirectory(dataDir: string, orElse = ""): Lock {
  const db = openLockFile(dataDir);
  try {
    // `IMMEDIATE` keeps out other writers but not readers, so whoever is refused can read the owner's process id.
    // Nothing here has to survive a power cut.
    db.exec("PRAGMA synchronous = OFF; BEGIN IMMEDIATE");
    db.exec(`PRAGMA user_version = ${process.pid}; COMMIT; BEGIN IMMEDIATE`);
  } catch (error) {
    const owner = ownerOf(db);
    db.close();
    if (!isBusy(error)) throw cannotUse(dataDir, error);
    throw new StartError(
      "data_directory",
      `Flotilla already runs on ${dataDir}${owner ? ` (process ${owner})` : ""}. Stop it first${orElse}`,
    );
  }
  held.add(db);
  return {
    release() {
      if (held.delete(db)) db.close();
    },
  };
}

function openLockFile(dataDir: string): DatabaseSync {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const file = join(dataDir, "supervisor.lock");
    makePrivateFile(file);
    return new DatabaseSync(file, { timeout: lockMsMax });
  } catch (error) {
    throw cannotUse(dataDir, error);
  }
}

/**
 * SECURITY: whoever may open the file may lock us out, and SQLite would make it readable to all. A file that is there
 * is not opened: closing it again would end the locks this process has on it.
 */
function makePrivateFile(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

function ownerOf(db: DatabaseSync): number | undefined {
  try {
    const owner = db.prepare("PRAGMA user_version").get()?.user_version;
    return typeof owner === "number" && owner > 0 ? owner : undefined;
  } catch {
    return undefined;
  }
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === sqliteBusy;
}

function cannotUse(dataDir: string, error: unknown): StartError {
  const why = error instanceof Error ? error.message : String(error);
  return new StartError("data_directory", `The data directory ${dataDir} cannot be used: ${why}`);
}
