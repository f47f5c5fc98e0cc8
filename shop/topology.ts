import { join } from "node:path";

/**
 * Every process of the shop, its port, and what it is given.
 *
 *   client ──▶ gateway :8080 ──┬──▶ users :8081
 *                              │       ▲
 *                              └──▶ orders :8082     (an order checks its buyer directly at users)
 */
export const topology = {
  users: { title: "User Service", entry: "users/main.ts", port: 8081, store: true, reaches: [] },
  orders: { title: "Order Service", entry: "orders/main.ts", port: 8082, store: true, reaches: ["users"] },
  gateway: { title: "API Gateway", entry: "gateway/main.ts", port: 8080, store: false, reaches: ["users", "orders"] },
} as const satisfies Record<string, Entry>;

interface Entry {
  readonly title: string;
  /** The file that runs, within this folder. */
  readonly entry: string;
  readonly port: number;
  /** Whether it keeps something on disk: that is backed up, and several instances of it need a database that they share. */
  readonly store: boolean;
  /** Services that stand before it. */
  readonly reaches: readonly string[];
}

export type ServiceName = keyof typeof topology;
/** As people and logs know a process: `orders`, or `orders.2` of several. */
export type ProcessName = ServiceName | `${ServiceName}.${number}`;
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
  /** Which of several processes of one service it is, from 1; undefined for the only one. */
  readonly instance?: number | undefined;
}

/** By service, where each of its processes is. Each knows the port of its own, and of the others that of the first. */
export type Placements = Readonly<Record<ServiceName, readonly Placement[]>>;

/** As they stand above, each after those it reaches; they are stopped the other way round. */
export const serviceNames = Object.keys(topology) as readonly ServiceName[];

/** What `of` says of each service. */
export function eachService<T>(of: (name: ServiceName) => T): Record<ServiceName, T> {
  return Object.fromEntries(serviceNames.map((name) => [name, of(name)])) as Record<ServiceName, T>;
}

export function processNameOf(name: ServiceName, { instance }: Pick<Placement, "instance">): ProcessName {
  return instance === undefined ? name : `${name}.${instance}`;
}

/**
 * Of each process the whole configuration: its own place, and the addresses of whoever it may reach. Nothing else.
 * @param all where the others are; default: with it, each once.
 */
export function variablesOf(
  name: ServiceName,
  at: Placement,
  all: Placements = eachService(() => [at]),
): Record<string, string> {
  const addressesOf = (other: ServiceName) => all[other].map((each) => linkUrlOf(other, each)).join(",");
  return {
    FLOTILLA_MODE: at.mode,
    FLOTILLA_DATA: at.dataDir,
    FLOTILLA_HOST: at.host,
    [portVariable(name)]: String(at.ports[name]),
    ...(at.socketDir !== undefined && { FLOTILLA_SOCKETS: at.socketDir }),
    ...(at.instance !== undefined && { FLOTILLA_INSTANCE: String(at.instance) }),
    ...Object.fromEntries(topology[name].reaches.map((other) => [urlVariable(other), addressesOf(other)])),
  };
}

/** Where `name` listens for the services of its machine; undefined for its port alone. */
export function socketPathOf(name: ServiceName, at: Placement): string | undefined {
  return at.socketDir === undefined ? undefined : join(at.socketDir, `${processNameOf(name, at)}.sock`);
}

/** Where the other services of this machine reach the service. */
export function linkUrlOf(name: ServiceName, at: Placement): string {
  const socketPath = socketPathOf(name, at);
  return socketPath === undefined ? urlOf(name, at) : `unix:${socketPath.split("/").map(encodeURIComponent).join("/")}`;
}

export function portVariable(name: ServiceName): string {
  return `FLOTILLA_${name.toUpperCase()}_PORT`;
}

export function opsPortVariable(name: ServiceName): string {
  return `FLOTILLA_${name.toUpperCase()}_OPS_PORT`;
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

/** How a person runs the demo on the gateway at `gatewayUrl`; undefined in production, where its accounts are not. */
export function demoCommand(gatewayUrl: string, { mode }: Pick<Placement, "mode">): string | undefined {
  if (mode !== "development") return undefined;
  return gatewayUrl === gatewayUrlDefault ? "npm run demo" : `${urlVariable("gateway")}=${gatewayUrl} npm run demo`;
}
