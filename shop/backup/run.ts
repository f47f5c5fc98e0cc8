import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Carried, hasCode } from "@flotilla/kit";
import { readPlacement } from "../service/placement.ts";
import { StartError } from "../service/start-error.ts";
import type { Environment } from "../service/variables.ts";
import { linkUrlOf, type Placement, urlVariable } from "../topology.ts";
import { backup, type StoredService } from "./backup.ts";
import type { Manifest } from "./manifest.ts";
import { restore } from "./restore.ts";

export interface BackupCommand {
  readonly args: readonly string[];
  readonly env: Environment;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

class UsageError extends Error {}

const backupUsage = `npm run backup -- DIR
  Backs up the stores and keys of the system on FLOTILLA_DATA, which may run, to the new directory DIR.
  DIR holds everything that is secret: keep it as the data directory is kept.`;

const restoreUsage = `npm run restore -- DIR [--yes]
  Verifies the backup DIR, and makes FLOTILLA_DATA what it was when the backup was made. The system must not run.
  --yes    although there is something in FLOTILLA_DATA: that is moved aside, within it`;

/** @returns the exit code: 0, 1 when it could not be done, 2 for a wrong word. */
export function runBackup({ args, env, out, err }: BackupCommand): Promise<0 | 1 | 2> {
  return report(err, backupUsage, async () => {
    const { directory } = read(args);
    const { dataDir, manifest } = await backUp(env, directory);
    out(`Backed up ${dataDir} to ${directory}: ${sizeOf(manifest)}, verified.`);
  });
}

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

/** @returns the exit code: 0, 1 when it could not be done, 2 for a wrong word. */
export function runRestore({ args, env, out, err }: BackupCommand): Promise<0 | 1 | 2> {
  return report(err, restoreUsage, async () => {
    const { directory, force } = read(args, { yes: { type: "boolean" } });
    const { dataDir } = readPlacement(env, []);
    const { manifest, replaced, carried } = await restore({ from: directory, dataDir, force });
    out(`Restored ${dataDir} from the backup of ${manifest.startedAt}: ${sizeOf(manifest)}, verified.`);
    for (const line of linesOf(carried)) out(line);
    if (replaced !== undefined) out(`The earlier files are in ${replaced}; remove them when you are sure.`);
  });
}

/** Where the services are told to find each other; of several instances the first, which shares its store with all. */
function urlOf(service: StoredService, placement: Placement, env: Environment): string {
  const [url] = (env[urlVariable(service)] || linkUrlOf(service, placement)).split(",");
  return url!;
}

function read(args: readonly string[], options: { yes?: { type: "boolean" } } = {}) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [directory, ...others] = positionals;
    if (directory === undefined || others.length > 0) throw new Error("Name one directory");
    return { directory, force: "yes" in values && values.yes === true };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function report(err: (text: string) => void, usage: string, run: () => Promise<void>): Promise<0 | 1 | 2> {
  try {
    await run();
    return 0;
  } catch (error) {
    const isUsage = error instanceof UsageError;
    err(`${error instanceof Error ? error.message : String(error)}${isUsage ? `\n\n${usage}` : ""}`);
    if (hasCode(error, "already_exists")) err("Nothing was changed.");
    return isUsage || error instanceof StartError ? 2 : 1;
  }
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
