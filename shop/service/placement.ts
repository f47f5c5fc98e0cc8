import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  eachService,
  type Mode,
  type Placement,
  type Ports,
  portVariable,
  type ServiceName,
  serviceNames,
  topology,
} from "../topology.ts";
import { StartError } from "./start-error.ts";
import { type Environment, readPort, settingProblems } from "./variables.ts";

const dataDirDefault = fileURLToPath(new URL("../../data", import.meta.url));

/**
 * Reads where the system is to run. Throws one `StartError` that lists everything that is wrong, settings that do not
 * exist included.
 *
 * @param portsOf the services whose ports are read; the others have their default.
 */
export function readPlacement(env: Environment, portsOf: readonly ServiceName[] = serviceNames): Placement {
  const problems: string[] = [];
  const placement = placementIn(env, portsOf, problems);
  if (problems.length > 0) throw new StartError("bad_settings", problems.join("\n"));
  return placement;
}

/** The same without throwing: adds to `problems` everything that is wrong. */
export function placementIn(env: Environment, portsOf: readonly ServiceName[], problems: string[]): Placement {
  problems.push(...settingProblems(env));
  const mode = env.FLOTILLA_MODE || "development";
  if (!isMode(mode)) problems.push(`FLOTILLA_MODE: expected development or production, got ${JSON.stringify(mode)}`);
  const ports = readPorts(env, portsOf, problems);
  const instance = readInstance(env.FLOTILLA_INSTANCE, problems);
  return {
    mode: isMode(mode) ? mode : "production",
    host: env.FLOTILLA_HOST || "127.0.0.1",
    ports,
    dataDir: resolve(env.FLOTILLA_DATA || dataDirDefault),
    socketDir: env.FLOTILLA_SOCKETS ? resolve(env.FLOTILLA_SOCKETS) : undefined,
    instance,
  };
}

function readPorts(env: Environment, portsOf: readonly ServiceName[], problems: string[]): Ports {
  return eachService((name) => {
    const given = portsOf.includes(name) ? readPort(portVariable(name), env, problems) : undefined;
    return given ?? topology[name].port;
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
