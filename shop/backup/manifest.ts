import { createHash } from "node:crypto";
import { createReadStream, existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pipeline } from "node:stream/promises";
import { decodeText, FlotillaError } from "@flotilla/kit";
import { syncFile } from "../service/sync.ts";

/** Written last: a directory without it is no backup. */
export const manifestName = "manifest.json";
const formatKnown = 1;

export interface BackedUpFile {
  /** Within the backup, with `/`. */
  readonly path: string;
  readonly bytes: number;
  /** Of its content, in hex. */
  readonly sha256: string;
}

/** What a backup says of itself. */
export interface Manifest {
  readonly format: typeof formatKnown;
  /** Of the code that made it. */
  readonly version: string;
  /** Whatever was acknowledged before is in it. ISO 8601. */
  readonly startedAt: string;
  readonly endedAt: string;
  /** Of each store the names of its migrations, in their order. */
  readonly migrations: Readonly<Record<string, readonly string[]>>;
  readonly files: readonly BackedUpFile[];
}

/** Describes everything in `directory`, and writes that down in it. */
export async function writeManifest(
  directory: string,
  about: Pick<Manifest, "version" | "startedAt">,
): Promise<Manifest> {
  const paths = filesIn(directory);
  const files: BackedUpFile[] = [];
  const migrations: Record<string, string[]> = {};
  for (const path of paths) {
    const file = join(directory, path);
    if (path.endsWith(".db")) migrations[path] = checkStore(file);
    files.push({ path, bytes: lstatSync(file).size, sha256: await hashOf(file) });
  }
  const manifest: Manifest = { format: formatKnown, ...about, endedAt: new Date().toISOString(), migrations, files };
  const file = join(directory, manifestName);
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  syncFile(file);
  return manifest;
}

/**
 * The manifest of the backup in `directory`, of which every file was read and is as it was.
 * @throws FlotillaError `not_found`, reason `no_backup`, when it has no manifest; `failed_precondition`, reason `no_backup`,
 *   when that is not readable by this code, or `backup_damaged` when a file is missing, is there too much, or has changed.
 */
export async function verifyBackup(directory: string): Promise<Manifest> {
  const manifest = readManifest(directory);
  const found = filesIn(directory).filter((path) => path !== manifestName);
  const listed = manifest.files.map(({ path }) => path);
  const odd = [...new Set(found).symmetricDifference(new Set(listed))];
  if (odd.length > 0) throw damaged(directory, `${odd.join(", ")}: missing, or not in the manifest`);
  for (const { path, bytes, sha256 } of manifest.files) {
    const file = join(directory, path);
    if (lstatSync(file).size !== bytes || (await hashOf(file)) !== sha256) {
      throw damaged(directory, `${path} is not what was backed up`);
    }
    if (path.endsWith(".db")) checkStore(file);
  }
  return manifest;
}

function readManifest(directory: string): Manifest {
  const file = join(directory, manifestName);
  if (!existsSync(file)) throw noBackup("not_found", `${directory} is no backup: it has no ${manifestName}`);
  let manifest: unknown;
  try {
    manifest = JSON.parse(decodeText(readFileSync(file), manifestName));
  } catch (cause) {
    throw noBackup("failed_precondition", `${directory} is no backup: its ${manifestName} cannot be read`, cause);
  }
  if (isManifest(manifest)) return manifest;
  const message = `${directory} is a backup of another version: its ${manifestName} is not of format ${formatKnown}`;
  throw noBackup("failed_precondition", message);
}

function isManifest(value: unknown): value is Manifest {
  const { format, startedAt, files } = (value ?? {}) as Partial<Manifest>;
  return format === formatKnown && isTime(startedAt) && Array.isArray(files) && files.every(isFile);
}

/** SECURITY: it is printed, and a terminal would obey other texts. */
function isTime(value: unknown): value is string {
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value);
}

/** SECURITY: a path of a manifest never leads out of its directory. */
function isFile(value: unknown): value is BackedUpFile {
  const { path, bytes, sha256 } = (value ?? {}) as Partial<BackedUpFile>;
  const isPath = typeof path === "string" && /^[\w.-]+(\/[\w.-]+)*$/.test(path) && !path.split("/").includes("..");
  return isPath && Number.isSafeInteger(bytes) && typeof sha256 === "string";
}

/** The names of its migrations. Reads all of it. @throws FlotillaError reason `backup_damaged`. */
function checkStore(file: string): string[] {
  try {
    using db = new DatabaseSync(file, { readOnly: true });
    const findings = db.prepare("PRAGMA integrity_check(10)").all();
    const words = findings.map((finding) => finding.integrity_check);
    if (words.join() !== "ok") throw new Error(words.join("; "));
    return db
      .prepare("SELECT name FROM migrations ORDER BY version")
      .all()
      .map(({ name }) => String(name));
  } catch (cause) {
    throw damaged(file, "its structure is damaged", cause);
  }
}

/** Every file below `directory`, sorted. @throws FlotillaError for a link or anything else that is no plain file. */
function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .flatMap((entry) => {
      if (entry.isDirectory()) return [];
      const path = join(entry.parentPath, entry.name).slice(directory.length + 1);
      if (!entry.isFile()) throw damaged(directory, `${path} is no file`);
      return [path.split(sep).join("/")];
    })
    .sort();
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

function noBackup(code: "not_found" | "failed_precondition", message: string, cause?: unknown): FlotillaError {
  return new FlotillaError(code, message, { reason: "no_backup", cause });
}

function damaged(path: string, what: string, cause?: unknown): FlotillaError {
  return new FlotillaError("failed_precondition", `The backup ${path} is damaged: ${what}`, {
    reason: "backup_damaged",
    cause,
  });
}
