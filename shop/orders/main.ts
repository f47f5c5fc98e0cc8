// The Order Service as a process: the only reader of its environment.
import { join } from "node:path";
import { systemClock as clock, makeLoans, serve } from "@flotilla/kit";
import type { UserServiceForPeers } from "../contracts/users.ts";
import { makeOperations } from "../service/operations.ts";
import { reachable, runService } from "../service/run-service.ts";
import { isWritable, tellHealth } from "../service/store-health.ts";
import { orderServiceFor } from "./service.ts";
import { openOrderStore } from "./store-sql.ts";

await runService("orders", process.env, async (own) => {
  const { settings, socketPath, identity, home, log, onRefused, onAnswered, placeOf, connectTo } = own;
  const { mode, host, ports, dataDir } = settings.placement;
  const ownStore = { service: "orders", mode, dataDir, onHealth: tellHealth(log) } as const;
  const store = await openOrderStore(settings.store ?? join(dataDir, "orders.db"), ownStore);
  await store.purgeAudit(clock.now());
  const users = connectTo<UserServiceForPeers>("users");
  const operations = makeOperations("orders", store);
  const loans = makeLoans({ from: users, clock, leases: true });
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
    onRefused,
    onAnswered,
  });
  // The first order should not wait for it; while users is not there yet, the connection tries on by itself.
  users.opened().catch(() => {});
  return {
    url: server.url,
    banner: [
      `📦 Order Service running on ${server.url}`,
      `   Endpoint: ${server.url}/rpc/batch`,
      `   User Service: ${placeOf("users").replace(/^https?:[^,]+$/, "$&/rpc/batch")}`,
      "",
      "Press Ctrl+C to stop",
    ],
    stats: () => ({ server: server.stats(), home: home.counts(), users: users.stats(), loans: loans.size }),
    busyness: server.busyness,
    checks: () => ({ users: reachable(users), store: isWritable(store) }),
    async stop() {
      await server.drain();
      loans[Symbol.dispose]();
      users.close();
      await store.close();
    },
  };
});
