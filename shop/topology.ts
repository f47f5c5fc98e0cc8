import { join } from "node:path";

/**
 * Every process of the shop, its port, and what it is given.
 *
 *   client ──▶ gateway :8080 ──┬──▶ users :8081
 *                              │       ▲
 *                              └──▶ orders :8082     (an order checks its buyer directly at users)
 */
export const topology = {
  users: { title: "User Service", entry: "users/main.ts", port: 8081, reaches: [] },
  orders: { title: "Order Service", entry: "orders/main.ts", port: 8082, reaches: ["users"] },
  gateway: { title: "API Gateway", entry: "gateway/main.ts", port: 8080, reaches: ["users", "orders"] },
} as const satisfies Record<string, { title: string; entry: string; port: number; reaches: readonly string[] }>;

export type ServiceName = keyof typeof topology;
export type Ports = Readonly<Record<ServiceName, number>>;
export type Mode = "development" | "production";

/** Where one system runs. */
export interface Placement {
  readonly mode: Mode;
  /** What the services listen on: an address of this machine, or one that stands for all of them. */
  readonly host: string;
  readonly ports: Ports;
  /** Absolute path. */
  readonly dataDir: string;
  /** Absolute path of a directory; with it the services meet at Unix sockets there, and not over TCP. */
  readonly socketDir?: string | undefined;
}

/** Each after those it reaches; they are stopped the other way round. */
export const serviceNames: readonly ServiceName[] = ["users", "orders", "gateway"];

/** Of each service the whole configuration: its own place, and the address of whoever it may reach. Nothing else. */
export function variablesOf(name: ServiceName, at: Placement): Record<string, string> {
  return {
    FLOTILLA_MODE: at.mode,
    FLOTILLA_DATA: at.dataDir,
    FLOTILLA_HOST: at.host,
    [portVariable(name)]: String(at.ports[name]),
    ...(at.socketDir !== undefined && { FLOTILLA_SOCKETS: at.socketDir }),
    ...Object.fromEntries(topology[name].reaches.map((other) => [urlVariable(other), linkUrlOf(other, at)])),
  };
}

/** Where `name` listens for the services of its machine; undefined for its port alone. */
export function socketPathOf(name: ServiceName, { socketDir }: Placement): string | undefined {
  return socketDir === undefined ? undefined : join(socketDir, `${name}.sock`);
}

/** Where the other services of this machine reach the service. */
export function linkUrlOf(name: ServiceName, at: Placement): string {
  const socketPath = socketPathOf(name, at);
  return socketPath === undefined ? urlOf(name, at) : `unix:${encodeURI(socketPath)}`;
}

export function portVariable(name: ServiceName): string {
  return `FLOTILLA_${name.toUpperCase()}_PORT`;
}

export function urlVariable(name: ServiceName): string {
  return `FLOTILLA_${name.toUpperCase()}_URL`;
}

/** Where this machine reaches the service: one that listens on every address is reached over loopback. */
export function urlOf(name: ServiceName, at: Placement): string {
  const host = at.host === "0.0.0.0" ? "127.0.0.1" : at.host === "::" ? "::1" : at.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${at.ports[name]}`;
}

/** Where a client looks for the gateway when nobody says otherwise. */
export const gatewayUrlDefault = `http://127.0.0.1:${topology.gateway.port}`;
