import { readFileSync } from "node:fs";
import type { Carried } from "@flotilla/kit";
import { readPlacement } from "../service/placement.ts";
import type { Environment } from "../service/variables.ts";
import { linkUrlOf, type Placement, urlVariable } from "../topology.ts";
import { backup, type StoredService } from "./backup.ts";
import type { Manifest } from "./manifest.ts";

/**
 * Backs up the system that `env` places, to the new `directory`.
 * @throws FlotillaError as `backup` does. @throws StartError for settings that are wrong.
 */
export async function backUp(env: Environment, directory: string): Promise<{ dataDir: string; manifest: Manifest }> {
  const placement = readPlacement(env);
  const url = (service: StoredService) => urlOf(service, placement, env);
  const urls = { orders: url("orders"), users: url("users") };
  const { dataDir } = placement;
  return { dataDir, manifest: await backup({ dataDir, urls, to: directory, version: versionOf() }) };
}

/** Where the services are told to find each other; of several instances the first, which shares its store with all. */
function urlOf(service: StoredService, placement: Placement, env: Environment): string {
  const [url] = (env[urlVariable(service)] || linkUrlOf(service, placement)).split(",");
  return url!;
}

/** For people. */
export function linesOf({ revoked, renewed }: Carried): string[] {
  return [
    ...revoked.map(({ name, key }) => `Revoked since the backup, and kept so: ${name} ${key}`),
    ...renewed.map((name) => `${name} has its next key; other machines have to trust it (keys show ${name})`),
  ];
}

/** For people. */
export function sizeOf({ files }: Manifest): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return `${files.length} files, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function versionOf(): string {
  return String(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version);
}
