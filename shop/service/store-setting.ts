import { readFileSync } from "node:fs";
import type { ServiceName } from "../topology.ts";
import { PostgresPlace } from "./postgres-place.ts";
import { StartError } from "./start-error.ts";
import type { Environment } from "./variables.ts";

export function storeVariable(name: ServiceName): string {
  return `FLOTILLA_${name.toUpperCase()}_STORE`;
}

/**
 * Where the store of `name` is, if not in a file of its data directory: a URL in `FLOTILLA_NAME_STORE`, or in the file
 * that `FLOTILLA_NAME_STORE_FILE` names. Throws one `StartError`; none of its words are the URL's.
 */
export function readStore(name: ServiceName, env: Environment): PostgresPlace | undefined {
  const variable = storeVariable(name);
  const fileVariable = `${variable}_FILE`;
  const file = env[fileVariable];
  if (env[variable] && file) throw new StartError("bad_settings", `${variable}: there is a ${fileVariable} too`);
  const source = file ? fileVariable : variable;
  const url = file ? readSecret(fileVariable, file) : env[variable];
  if (!url) return undefined;
  try {
    return new PostgresPlace(url);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    throw new StartError("bad_settings", `${source}: ${error.message}`);
  }
}

function readSecret(variable: string, file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    throw new StartError("bad_settings", `${variable}: ${JSON.stringify(file)} cannot be read`);
  }
  try {
    // As `decodeText` of the kit, which the supervisor would load for this alone.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch {
    throw new StartError("bad_settings", `${variable}: ${JSON.stringify(file)} is not valid UTF-8`);
  }
}
