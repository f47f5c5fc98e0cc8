import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { eachService, type Mode, type Placement, type Ports, portVariable, topology } from "../topology.ts";
import { StartError } from "./start-error.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const dataDirDefault = fileURLToPath(new URL("../../data", import.meta.url));

/** Reads where the system is to run. Throws one `StartError` that lists everything that is wrong. */
export function readPlacement(env: Environment): Placement {
  const problems: string[] = [];
  const mode = env.FLOTILLA_MODE || "development";
  if (!isMode(mode)) problems.push(`FLOTILLA_MODE: expected development or production, got ${JSON.stringify(mode)}`);
  const ports = readPorts(env, problems);
  const instance = readInstance(env.FLOTILLA_INSTANCE, problems);
  if (problems.length > 0 || !isMode(mode)) throw new StartError("bad_settings", problems.join("\n"));
  return {
    mode,
    host: env.FLOTILLA_HOST || "127.0.0.1",
    ports,
    dataDir: resolve(env.FLOTILLA_DATA || dataDirDefault),
    socketDir: env.FLOTILLA_SOCKETS ? resolve(env.FLOTILLA_SOCKETS) : undefined,
    instance,
  };
}

function readPorts(env: Environment, problems: string[]): Ports {
  return eachService((name) => {
    const variable = portVariable(name);
    const text = env[variable] || String(topology[name].port);
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
    problems.push(`${variable}: expected a port from 0 (any free one) to 65535, got ${JSON.stringify(text)}`);
    return 0;
  });
}

function readInstance(text: string | undefined, problems: string[]): number | undefined {
  if (!text) return undefined;
  if (!/^[1-9]\d?$/.test(text)) {
    problems.push(`FLOTILLA_INSTANCE: expected a number from 1 to 99, got ${JSON.stringify(text)}`);
  }
  return Number(text);
}

function isMode(text: string): text is Mode {
  return text === "development" || text === "production";
}
