// What every process of a peer has in common: its settings come by environment, its address goes to its parent.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { openStore, type Store } from "../work.ts";

/** Addresses as the services announced them. */
export const usersAddress = process.env.BENCH_USERS ?? "";
export const ordersAddress = process.env.BENCH_ORDERS ?? "";

export function storeOfThisRun(): Store {
  return openStore(process.env.BENCH_STORE, process.env.BENCH_DATA);
}

/** A path when the services of this run are to reach each other over Unix sockets; the gateway always listens on TCP. */
export function socketPath(service: "users" | "orders"): string | undefined {
  if (process.env.BENCH_SOCKETS !== "unix") return undefined;
  const path = join(process.env.BENCH_DATA ?? ".", `${service}.sock`);
  rmSync(path, { force: true });
  return path;
}

/** Tells the parent that others may connect now. */
export function announce(address: string): void {
  process.once("SIGTERM", () => process.exit(0));
  process.once("disconnect", () => process.exit(0));
  process.send?.({ address });
}

/** `unix:PATH` or `HOST:PORT`, of a listening `net.Server` or `http.Server`. */
export function addressOf(server: { address(): unknown }): string {
  const address = server.address();
  return typeof address === "string" ? `unix:${address}` : `127.0.0.1:${(address as { port: number }).port}`;
}

/** The path within a `unix:PATH` address. */
export function pathOf(address: string): string | undefined {
  return address.startsWith("unix:") ? address.slice("unix:".length) : undefined;
}
