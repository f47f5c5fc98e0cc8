// The User Service as a process: the only reader of its environment.
import { join } from "node:path";
import { systemClock as clock, serve } from "@flotilla/kit";
import { runService } from "../service/run-service.ts";
import { makePasswords } from "./password.ts";
import { seedUsers } from "./seed.ts";
import { userServiceFor } from "./service.ts";
import { openSqliteUserStore } from "./store-sqlite.ts";

await runService("users", process.env, async ({ placement, identity, home, log, metrics }) => {
  const { mode, host, ports, dataDir } = placement;
  const store = openSqliteUserStore(join(dataDir, "users.db"));
  const passwords = makePasswords();
  const adminPassword = await seedUsers({ mode, clock, store, passwords });
  const server = await serve({
    name: home.name,
    instance: home.instance,
    identity,
    host,
    port: ports.users,
    main: (peer) => userServiceFor(peer, home, { clock, store, passwords }),
    onHiddenError: (err) => log.error({ err, requestId: err.requestId }, "a call failed"),
    onRefused: ({ code, reason }) => metrics.refused(code, reason),
  });
  const adminNotice = adminPassword && `Administrator: admin, password ${adminPassword} (shown this once)`;
  // The supervisor does not repeat banners, and this must not be lost.
  if (adminNotice) process.send?.({ type: "notice", text: adminNotice });
  const accounts = mode === "development" ? await store.listAccounts() : [];
  return {
    url: server.url,
    banner: [
      `👤 User Service running on ${server.url}`,
      `   Endpoint: ${server.url}/rpc/batch`,
      "",
      ...(accounts.length > 0
        ? ["Available users:", ...accounts.map((it) => `  - ${it.username} (${it.role})`), ""]
        : []),
      ...(adminNotice ? [adminNotice, ""] : []),
      "Press Ctrl+C to stop",
    ],
    stats: () => ({ server: server.stats(), home: home.counts() }),
    checks: () => ({}),
    async stop() {
      await server.drain();
      store.close();
    },
  };
});
