// The User Service as a process: the only reader of its environment.
import { join } from "node:path";
import { systemClock as clock, serve } from "@flotilla/kit";
import { makeOperations } from "../service/operations.ts";
import { runService } from "../service/run-service.ts";
import { isWritable, tellHealth } from "../service/store-health.ts";
import { makeAccessTokens } from "./access-token.ts";
import { makePasswords } from "./password.ts";
import { assertNoDemoUsers } from "./production.ts";
import { recalled } from "./recalled-store.ts";
import { makeRevokers } from "./revokers.ts";
import { seedUsers } from "./seed.ts";
import { userServiceFor } from "./service.ts";
import { shareTokenKeys } from "./shared-keys.ts";
import { openUserStore } from "./store-sql.ts";
import { openTokenKeys } from "./token-keys.ts";

await runService("users", process.env, async ({ settings, socketPath, identity, home, log, notify, ...own }) => {
  const { mode, host, ports, dataDir } = settings.placement;
  const ownStore = { service: "users", mode, dataDir, onHealth: tellHealth(log) } as const;
  const store = recalled(await openUserStore(settings.store ?? join(dataDir, "users.db"), ownStore), home);
  const passwords = makePasswords();
  if (mode === "production") await assertNoDemoUsers(store, passwords);
  const revokers = makeRevokers();
  const keys = shareTokenKeys({ own: openTokenKeys(join(dataDir, "token-keys"), clock, own.onClosed), store, clock });
  await keys.current();
  const tokens = makeAccessTokens({ clock, keys });
  const deps = { clock, store, passwords, tokens, revokers };
  const operations = makeOperations("users", store);
  let isSeeded = false;
  const server = await serve({
    name: home.name,
    instance: home.instance,
    identity,
    host,
    port: ports.users,
    socketPath,
    isReady: () => isSeeded && isWritable(store),
    main: (peer) => operations(peer, home) ?? userServiceFor(peer, home, deps),
    onHiddenError: (err) => log.error({ err, requestId: err.requestId }, "a call failed"),
    onRefused: own.onRefused,
    onAnswered: own.onAnswered,
  });
  // Once it is known that the service can start, and said at once: the password is kept nowhere.
  const adminPassword = await seedUsers({ mode, clock, store, passwords });
  if (adminPassword) notify(`Administrator: admin, password ${adminPassword} (shown this once)`);
  await store.purgeAudit(clock.now());
  isSeeded = true;
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
      "Press Ctrl+C to stop",
    ],
    stats: () => ({ server: server.stats(), home: home.counts(), revokers: revokers.size }),
    busyness: server.busyness,
    checks: () => ({ store: isWritable(store) }),
    async stop() {
      await server.drain();
      await store.close();
    },
  };
});
