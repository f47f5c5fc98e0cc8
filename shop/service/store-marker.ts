import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { FlotillaError } from "@flotilla/kit";
import type { Mode, ServiceName } from "../topology.ts";
import type { DialectName } from "./database.ts";
import type { StoreLabel } from "./store-label.ts";
import { storeVariable } from "./store-setting.ts";
import { syncDirectory } from "./sync.ts";

/** Says, beside a store, that there is one: so that its loss is noticed. */
export function markerFileOf(dataDir: string, service: ServiceName): string {
  return join(dataDir, `${service}.store`);
}

/** The file that an earlier start left in the data directory. */
export interface StoreMarker {
  readonly service: ServiceName;
  readonly file: string;
  /** False before the first start of the service there, and after `flotilla new-store`. */
  readonly isThere: boolean;
  /** The kind of the store that left it; undefined when the marker does not say. */
  readonly dialect: DialectName | undefined;
}

/** The text of a marker, as far as it can be read. It is for people, but for `dialect`; the file itself is what counts. */
interface MarkerText {
  readonly dialect?: unknown;
  readonly createdAt?: unknown;
  readonly store?: unknown;
}

export function findMarker(dataDir: string, service: ServiceName): StoreMarker {
  const file = markerFileOf(dataDir, service);
  const { dialect } = textOf(file);
  const known = dialect === "sqlite" || dialect === "postgres" ? dialect : undefined;
  return { service, file, isThere: existsSync(file), dialect: known };
}

/** A store as a start opens it. */
export interface OpenedStore {
  readonly dialect: DialectName;
  /** For people. */
  readonly name: string;
}

/** The label of a store; one of an earlier version, which a restore may find in a backup, says no mode. */
type FoundLabel = Omit<StoreLabel, "mode"> & { readonly mode?: Mode | undefined };

/** Leaves the marker, on disk, unless one that says as much is there. */
export function leaveMarker(marker: StoreMarker, { service, mode, createdAtMs }: FoundLabel, at: OpenedStore): void {
  const { file } = marker;
  if (marker.dialect === at.dialect) return;
  const createdAt = new Date(createdAtMs).toISOString();
  const text = JSON.stringify({ service, mode, createdAt, dialect: at.dialect, store: at.name });
  try {
    writeFileSync(file, `${text}\n`, { mode: 0o600, flush: true });
    syncDirectory(dirname(file));
  } catch (cause) {
    throw new FlotillaError("failed_precondition", `${file} cannot be written`, { reason: "store", cause });
  }
}

/**
 * A service whose store was of the other kind is not started: what it finds there, such as the file from before a move to
 * PostgreSQL, is not what it kept last.
 */
export function assertSameKind(marker: StoreMarker, { dialect, name }: OpenedStore): void {
  if (marker.dialect === undefined || marker.dialect === dialect) return;
  const [kept, given] = dialect === "sqlite" ? ["PostgreSQL", "is not set"] : ["a file", "is set"];
  const message =
    `The ${marker.service} service kept its store in ${kept} at an earlier start${since(marker)}, and would now use ` +
    `${name}, because ${storeVariable(marker.service)} ${given}. Start it as before, or move on purpose ` +
    `(npx flotilla new-store ${marker.service}${dataOption(marker.file)})`;
  throw new FlotillaError("failed_precondition", message, { reason: "store_elsewhere" });
}

/** Why a service does not start: its store was there, and has nothing in it now. */
export function lostError(where: string, what: "missing" | "empty", marker?: StoreMarker): FlotillaError {
  const earlier = marker?.isThere ? ` but there was one at an earlier start${since(marker)}` : "";
  const message =
    `The store ${where} is ${what},${earlier || " which a store never is"}. The service does not start on it: ` +
    `everything it held would be gone without a word. ${waysOut(marker?.service ?? "SERVICE", marker?.file ?? where)}`;
  return new FlotillaError("failed_precondition", message, { reason: "store_lost" });
}

/** Advice to an operator whose store is lost or damaged; `file` is in its data directory. */
export function waysOut(service: string, file: string): string {
  const at = dataOption(file);
  return (
    `Restore it from a backup (npx flotilla restore DIRECTORY${at} --yes), ` +
    `or begin anew on purpose (npx flotilla new-store ${service}${at})`
  );
}

/** The command is pasted into another shell, whose `FLOTILLA_DATA` may be another. */
function dataOption(file: string): string {
  const dataDir = dirname(resolve(file));
  if (/^[\w./:\\-]+$/.test(dataDir)) return ` --data ${dataDir}`;
  return process.platform === "win32" ? ` --data "${dataDir}"` : ` --data '${dataDir.replaceAll("'", "'\\''")}'`;
}

function since({ file }: StoreMarker): string {
  const { createdAt, store } = textOf(file);
  return store === undefined
    ? ` (${file} is left of it)`
    : ` (${file} says: ${String(store)}, made ${String(createdAt)})`;
}

function textOf(file: string): MarkerText {
  try {
    return Object(JSON.parse(readFileSync(file, "utf8"))) as MarkerText;
  } catch {
    return {};
  }
}
