import { chmodSync, cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mode } from "../../shop/topology.ts";

/** Between the last thing that was done in them and the first login that expired. Milliseconds since the epoch. */
export const madeAtMs = 1_796_058_870_000;

/** Copies the data directory that the shop of commit `version` made to the directory `to`, with the modes it had. */
export function copyOldData(version: string, mode: Mode, to: string): void {
  cpSync(fileURLToPath(new URL(`${version}/${mode}`, import.meta.url)), to, { recursive: true });
  // Git keeps no modes.
  chmodSync(to, 0o700);
  for (const entry of readdirSync(to, { recursive: true, withFileTypes: true })) {
    const isPublic = entry.name === "trusted-keys";
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : isPublic ? 0o644 : 0o600);
  }
}
