import { join } from "node:path";
import { answerMemory } from "./memory.ts";

/**
 * What the shop reads, from what the benchmark gives to every process (see bench/system.ts); and the harness can ask how
 * much the process holds.
 */
export function prepareShop(): void {
  const { BENCH_DATA = "", BENCH_USERS = "", BENCH_ORDERS = "", BENCH_SOCKETS } = process.env;
  // The services then find each other by their sockets, and need no address.
  const links =
    BENCH_SOCKETS === "unix"
      ? { FLOTILLA_SOCKETS: join(BENCH_DATA, "sockets") }
      : { FLOTILLA_USERS_URL: BENCH_USERS, FLOTILLA_ORDERS_URL: BENCH_ORDERS };
  Object.assign(process.env, links, {
    // It has users to log in as; nothing else of the mode is on an order's way.
    FLOTILLA_MODE: "development",
    FLOTILLA_DATA: BENCH_DATA,
    FLOTILLA_USERS_PORT: "0",
    FLOTILLA_ORDERS_PORT: "0",
    FLOTILLA_GATEWAY_PORT: "0",
    // Counted as always, and never reached: one user places all the orders, from one machine.
    FLOTILLA_RATE_NETWORK: "999999999",
    FLOTILLA_RATE_USER: "999999999",
  });
  answerMemory();
}
