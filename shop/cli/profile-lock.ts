import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { CliError } from "./cli-error.ts";
import { openDirectory, type Profiles } from "./profiles.ts";

/** A renewal takes milliseconds. */
const pollMs = 20;

/**
 * Runs `work` while no other command of this user does the same for this profile. The lock is the operating system's on an
 * SQLite file, so that of a command that was killed is gone with it.
 * @throws CliError `unavailable` when it is not had before `signal` is aborted.
 */
export async function whileLocked<T>(
  profiles: Profiles,
  name: string,
  { signal, work }: { signal: AbortSignal; work: () => Promise<T> },
): Promise<T> {
  // Loaded here, because few commands come here.
  const { DatabaseSync } = await import("node:sqlite");
  openDirectory(profiles.directory);
  const file = profiles.fileOf(name).replace(/\.json$/, ".lock");
  closeSync(openSync(file, "a", 0o600));
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    while (!tryLock(db)) {
      if (signal.aborted) throw busy(name, file);
      await delay(pollMs, undefined, { signal }).catch(() => {
        throw busy(name, file);
      });
    }
    return await work();
  } finally {
    db.close();
  }
}

function tryLock(db: { exec(sql: string): void }): boolean {
  try {
    db.exec("BEGIN IMMEDIATE");
    return true;
  } catch (error) {
    if (error instanceof Error && "errcode" in error && error.errcode === sqliteBusy) return false;
    throw error;
  }
}

const sqliteBusy = 5;

function busy(name: string, file: string): CliError {
  const hint = `Run it again, or look at which process holds ${file}`;
  return new CliError("unavailable", `Another command renews the login of profile ${name}`, { hint });
}
