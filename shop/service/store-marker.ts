import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FlotillaError } from "@flotilla/kit";
import type { ServiceName } from "../topology.ts";
import type { StoreLabel } from "./store-label.ts";

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
}

export function findMarker(dataDir: string, service: ServiceName): StoreMarker {
  const file = markerFileOf(dataDir, service);
  return { service, file, isThere: existsSync(file) };
}

/** Leaves the marker, on disk, unless it is there. Its text is for people; the file itself is what counts. */
export function leaveMarker({ file, isThere }: StoreMarker, { service, mode, createdAtMs }: StoreLabel, where: string) {
  if (isThere) return;
  const text = JSON.stringify({ service, mode, createdAt: new Date(createdAtMs).toISOString(), store: where });
  try {
    const descriptor = openSync(file, "w", 0o600);
    try {
      writeSync(descriptor, `${text}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    throw new FlotillaError("failed_precondition", `${file} cannot be written`, { reason: "store", cause });
  }
}

/** Why a service does not start: its store was there, and has nothing in it now. */
export function lostError(where: string, what: "missing" | "empty", marker?: StoreMarker): FlotillaError {
  const earlier = marker?.isThere ? ` but there was one at an earlier start${since(marker)}` : "";
  const message =
    `The store ${where} is ${what},${earlier || " which a store never is"}. The service does not start on it: ` +
    `everything it held would be gone without a word. ${waysOut(marker?.service ?? "SERVICE")}`;
  return new FlotillaError("failed_precondition", message, { reason: "store_lost" });
}

/** Advice to an operator whose store is lost or damaged. */
export function waysOut(service: string): string {
  return (
    "Restore it from a backup (npx flotilla restore DIRECTORY --yes), " +
    `or begin anew on purpose (npx flotilla new-store ${service})`
  );
}

function since({ file }: StoreMarker): string {
  try {
    const { createdAt, store } = JSON.parse(readFileSync(file, "utf8")) as { createdAt?: unknown; store?: unknown };
    return ` (${file} says: ${String(store)}, made ${String(createdAt)})`;
  } catch {
    return ` (${file} is left of it)`;
  }
}
