import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Carried, carryRevocations, FlotillaError } from "@flotilla/kit";
import { openDataDirectory, restoringName } from "../service/data-directory.ts";
import { openError } from "../service/sqlite-error.ts";
import { findMarker, leaveMarker } from "../service/store-marker.ts";
import { syncDirectory } from "../service/sync.ts";
import { lockDataDirectory } from "../supervisor/lock.ts";
import type { Mode } from "../topology.ts";
import { type StoredService, storedServices } from "./backup.ts";
import { copyFile, namesIn } from "./files.ts";
import { type Manifest, verifyBackup } from "./manifest.ts";

export interface RestoreOptions {
  /** A backup. */
  readonly from: string;
  /** Made when it is not there. */
  readonly dataDir: string;
  /** Whether what is there is moved aside, into a directory in it. */
  readonly force?: boolean;
}

export interface Restored {
  readonly manifest: Manifest;
  /** Where what was there is now. */
  readonly replaced: string | undefined;
  /** The revocations of keys that were made since the backup, and are kept. */
  readonly carried: Carried;
}

/** Of the supervisor, which keeps others out by it. */
const lockFile = /^supervisor\.lock/;
const replacedFile = /^replaced-/;

/**
 * Makes `dataDir` what it was when the backup was made. Everything is verified before anything is touched. If it is cut
 * short, no service starts on what it left, and it can be done again.
 *
 * SECURITY: what was revoked in `dataDir` since the backup stays revoked; a service whose own key that is gets its next.
 *
 * @throws FlotillaError as `verifyBackup` when `from` is no whole backup; `already_exists` when
 *   `dataDir` has something in it and `force` was not said; `unavailable`, reason `store_in_use`, while a service runs there.
 * @throws StartError while a whole system runs there.
 */
export async function restore({ from, dataDir, force = false }: RestoreOptions): Promise<Restored> {
  const source = resolve(from);
  const target = resolve(dataDir);
  const manifest = await verifyBackup(source);
  const lock = lockDataDirectory(target);
  try {
    const staging = join(target, restoringName);
    const isRepeated = namesIn(target).includes(restoringName);
    // The leftovers of an earlier attempt keep services from starting until this one is done.
    if (!isRepeated) openDataDirectory(target);
    const isKept = (name: string) => name === restoringName || lockFile.test(name) || replacedFile.test(name);
    const present = namesIn(target).filter((name) => !isKept(name));
    if (present.length > 0 && !force) {
      const message = `${target} is not empty: it has ${present.slice(0, 5).join(", ")}; --yes moves that aside`;
      throw new FlotillaError("already_exists", message);
    }
    for (const name of present) if (name.endsWith(".db")) assertUnused(join(target, name));
    const carried = stage({ manifest, source, target, staging, isRepeated });
    const replaced = present.length > 0 ? moveAside(target, present) : undefined;
    for (const name of namesIn(staging)) renameSync(join(staging, name), join(target, name));
    syncDirectory(target);
    rmSync(staging, { recursive: true });
    syncDirectory(target);
    return { manifest, replaced, carried };
  } finally {
    lock.release();
  }
}

interface Staging {
  readonly manifest: Manifest;
  readonly source: string;
  readonly target: string;
  /** Within `target`. */
  readonly staging: string;
  /** Whether an attempt before this one was cut short, and left `staging`. */
  readonly isRepeated: boolean;
}

/** Makes `staging` a copy of `source` with the revocations of `target`. When that fails, `target` is as it was. */
function stage({ manifest, source, target, staging, isRepeated }: Staging): Carried {
  try {
    mkdirSync(staging, { recursive: true, mode: 0o700 });
    for (const name of namesIn(staging)) rmSync(join(staging, name), { recursive: true });
    syncDirectory(target);
    for (const { path } of manifest.files) {
      mkdirSync(dirname(join(staging, path)), { recursive: true, mode: 0o700 });
      copyFile(join(source, path), join(staging, path));
    }
    for (const service of storedServices) markStore(service, staging, target);
    // Files that an earlier attempt moved aside belonged to this directory too.
    const earlier = ["", ...namesIn(target).filter((name) => replacedFile.test(name))];
    const keys = earlier.map((name) => join(target, name, "keys"));
    return carryRevocations(keys, join(staging, "keys"));
  } catch (error) {
    if (!isRepeated) rmSync(staging, { recursive: true, force: true });
    throw error;
  }
}

/** Leaves the marker of a restored store beside it in `staging`, as its service would in `target`: its loss is noticed. */
function markStore(service: StoredService, staging: string, target: string): void {
  const file = `${service}.db`;
  if (!namesIn(staging).includes(file)) return;
  using db = new DatabaseSync(join(staging, file), { readOnly: true });
  const [first] = db.prepare("SELECT min(applied_at_ms) AS createdAtMs FROM migrations").all();
  const isLabelled = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'label'").get() !== undefined;
  const mode = isLabelled ? (db.prepare("SELECT mode FROM label").get()?.mode as Mode | undefined) : undefined;
  const found = { service, mode, createdAtMs: Number(first?.createdAtMs) };
  leaveMarker(findMarker(staging, service), found, { dialect: "sqlite", name: join(target, file) });
}

/** Moves `names` into a directory within `target`. @returns its path. */
export function moveAside(target: string, names: readonly string[]): string {
  const replaced = join(target, `replaced-${new Date().toISOString().replaceAll(":", "")}`);
  mkdirSync(replaced, { mode: 0o700 });
  // Again: opening a store may have put its journal away.
  for (const name of names.filter((it) => namesIn(target).includes(it))) {
    renameSync(join(target, name), join(replaced, name));
  }
  return replaced;
}

/** A service that was started by itself holds no lock but that of its store. A store that is damaged is in nobody's use. */
export function assertUnused(file: string): void {
  const db = new DatabaseSync(file);
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
  } catch (error) {
    const refusal = openError(error, file);
    if (refusal instanceof FlotillaError && refusal.reason === "store_in_use") throw refusal;
  } finally {
    db.close();
  }
}
