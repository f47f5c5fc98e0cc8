import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Mode,
  type Placement,
  type Ports,
  portVariable,
  type ServiceName,
  serviceNames,
  topology,
} from "../topology.ts";
import { StartError } from "./start-error.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const dataDirDefault = fileURLToPath(new URL("../../data", import.meta.url));

/** Reads where the system is to run. Throws one `StartError` that lists everything that is wrong. */
export function readPlacement(env: Environment): Placement {
  const problems: string[] = [];
  const mode = env.FLOTILLA_MODE || "development";
  if (!isMode(mode)) problems.push(`FLOTILLA_MODE: expected development or production, got ${JSON.stringify(mode)}`);
  const ports = readPorts(env, problems);
  if (problems.length > 0 || !isMode(mode)) throw new StartError("bad_settings", problems.join("\n"));
  return {
    mode,
    host: env.FLOTILLA_HOST || "127.0.0.1",
    ports,
    dataDir: resolve(env.FLOTILLA_DATA || dataDirDefault),
    socketDir: env.FLOTILLA_SOCKETS ? resolve(env.FLOTILLA_SOCKETS) : undefined,
  };
}

function readPorts(env: Environment, problems: string[]): Ports {
  const ports: Record<ServiceName, number> = {
    users: topology.users.port,
    orders: topology.orders.port,
    gateway: topology.gateway.port,
  };
  for (const name of serviceNames) {
    const text = env[portVariable(name)];
    if (!text) continue;
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) ports[name] = Number(text);
    else
      problems.push(
        `${portVariable(name)}: expected a port from 0 (any free one) to 65535, got ${JSON.stringify(text)}`,
      );
  }
  return ports;
}

function isMode(text: string): text is Mode {
  return text === "development" || text === "production";
}
