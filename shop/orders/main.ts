// The Order Service as a process: the only reader of its environment.
import { join } from "node:path";
import { systemClock as clock, connect, makeLoans, serve } from "@flotilla/kit";
import type { UserServiceForPeers } from "../contracts/users.ts";
import { makeOperations } from "../service/operations.ts";
import { runService } from "../service/run-service.ts";
import { isWritable, tellHealth } from "../service/store-health.ts";
import { orderServiceFor } from "./service.ts";
import { openSqliteOrderStore } from "./store-sqlite.ts";

await runService("orders", process.env, async ({ placement, socketPath, identity, home, log, metrics, urlOf }) => {
  const { host, ports, dataDir } = placement;
  const store = openSqliteOrderStore(join(dataDir, "orders.db"), tellHealth(log));
  const operations = makeOperations("orders", store);
  const as = { identity, instance: home.instance };
  const users = connect<UserServiceForPeers>({ name: "users", url: urlOf("users"), as });
  const loans = makeLoans({ from: users, clock });
  const server = await serve({
    name: home.name,
    instance: home.instance,
    identity,
    host,
    port: ports.orders,
    socketPath,
    main: (peer) => operations(peer, home) ?? orderServiceFor(peer, home, { clock, store, users: loans }),
    isReady: () => users.isOpen && isWritable(store),
    onHiddenError: (err) => log.error({ err, requestId: err.requestId }, "a call failed"),
    onRefused: ({ code, reason }) => metrics.refused(code, reason),
  });
  // The first order should not wait for it; while users is not there yet, the connection tries on by itself.
  users.opened().catch(() => {});
  return {
    url: server.url,
    banner: [
      `📦 Order Service running on ${server.url}`,
      `   Endpoint: ${server.url}/rpc/batch`,
      `   User Service: ${urlOf("users")}/rpc/batch`,
      "",
      "Press Ctrl+C to stop",
    ],
    stats: () => ({ server: server.stats(), home: home.counts(), users: users.stats(), loans: loans.size }),
    checks: () => ({ users: users.isOpen, store: isWritable(store) }),
    async stop() {
      await server.drain();
      loans[Symbol.dispose]();
      users.close();
      store.close();
    },
  };
});
