import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Connection, connect, FlotillaError, openIdentity, reasonOf } from "@flotilla/kit";
import { type Operations, operatorName } from "../contracts/operations.ts";
import { copySqlite } from "../service/sqlite-copy.ts";
import { openError } from "../service/sqlite-error.ts";
import { syncDirectory, syncFile } from "../service/sync.ts";
import { type ServiceName, serviceNames, topology } from "../topology.ts";
import { copyFiles, namesIn } from "./files.ts";
import { type Manifest, writeManifest } from "./manifest.ts";

/** Those with a store. Orders first: whoever is named in one is in the copy of the users, which is made later. */
export const storedServices = serviceNames.toReversed().filter((name): name is StoredService => topology[name].store);
export type StoredService = { [N in ServiceName]: (typeof topology)[N]["store"] extends true ? N : never }[ServiceName];

/** Directories of keys, copied last: a login is signed by a key that was there before it. */
export const keyDirectories = ["keys", "token-keys"] as const;

export interface BackupOptions {
  /** That of the services. */
  readonly dataDir: string;
  /** Where each is reached; one that does not run there is copied without it. */
  readonly urls: Readonly<Record<StoredService, string>>;
  /** The backup: a directory that does not exist yet, or is empty. */
  readonly to: string;
  readonly version: string;
}

/**
 * Backs up a data directory whose services may run: their stores by themselves, and the keys. What was acknowledged
 * before this call is in it, and either all of an order or nothing. `to` has its name once it is whole and on disk.
 *
 * @throws FlotillaError `already_exists` when `to` has something in it; `not_found` when there is no such data;
 *   `failed_precondition` when a store is not copied this way (reason `store_elsewhere`); `unavailable` when a service has
 *   the store and cannot be reached, or a disk is full.
 */
export async function backup({ dataDir, urls, to, version }: BackupOptions): Promise<Manifest> {
  const startedAt = new Date().toISOString();
  const target = resolve(to);
  if (namesIn(target).length > 0) throw new FlotillaError("already_exists", `${target} is not empty`);
  if (!namesIn(dataDir).includes("keys")) {
    throw new FlotillaError("not_found", `${dataDir} is no data directory of these services`);
  }
  const draft = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.partial`);
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  try {
    for (const service of storedServices) {
      await copyStore(service, { dataDir, url: urls[service], to: draft });
      settle(join(draft, `${service}.db`));
    }
    for (const name of keyDirectories) copyFiles(join(dataDir, name), join(draft, name), isWhole);
    const manifest = await writeManifest(draft, { version, startedAt });
    syncDirectory(draft);
    renameSync(draft, target);
    syncDirectory(dirname(target));
    return manifest;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Keys are written under other names, and get theirs when they are whole. */
function isWhole(name: string): boolean {
  return name.endsWith(".key") || name === "trusted-keys";
}

interface Copying {
  readonly dataDir: string;
  readonly url: string;
  readonly to: string;
}

async function copyStore(service: StoredService, { dataDir, url, to }: Copying): Promise<void> {
  const as = { identity: openIdentity(join(dataDir, "keys"), operatorName) };
  using connection = connect<Operations>({ name: service, url, as });
  if (await isThere(connection)) {
    while (!(await connection.main.copyStore(to)).isDone);
    return;
  }
  try {
    await copyUnused(join(dataDir, `${service}.db`), join(to, `${service}.db`));
  } catch (error) {
    if (reasonOf(error) !== "store_in_use") throw error;
    const message = `${service} runs on ${dataDir}, and not at ${url}: say where, as its neighbours are told`;
    throw new FlotillaError("unavailable", message, { reason: "store_in_use", cause: error });
  }
}

/** False when nothing listens at its address. */
async function isThere(connection: Connection<Operations>): Promise<boolean> {
  try {
    await connection.opened();
    return true;
  } catch (error) {
    if (reasonOf(error) === "connection_refused") return false;
    throw error;
  }
}

/** While no service has it. */
async function copyUnused(file: string, to: string): Promise<void> {
  let db: DatabaseSync | undefined;
  try {
    if (!namesIn(dirname(file)).includes(basename(file))) {
      const message = `There is no ${file}. If its service keeps its data elsewhere, back it up with the tools of that database`;
      throw new FlotillaError("failed_precondition", message, { reason: "store_elsewhere" });
    }
    db = new DatabaseSync(file);
    // Keeps the service from starting meanwhile.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
    await copySqlite(db, to);
  } catch (error) {
    throw openError(error, file);
  } finally {
    db?.close();
  }
}

/** One file that says everything: no journal beside it. */
function settle(file: string): void {
  const db = new DatabaseSync(file);
  try {
    db.exec("PRAGMA journal_mode = DELETE");
  } finally {
    db.close();
  }
  chmodSync(file, 0o600);
  syncFile(file);
}
