import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeGatewayClient } from "../../shop/cli/gateway-client.ts";
import { runTenSteps } from "../../shop/cli/ten-steps.ts";
import { startSystem } from "../../shop/supervisor/system.ts";
import { eachService } from "../../shop/topology.ts";
import { startPostgres, whyNoPostgres } from "../postgres.ts";

const ports = eachService(() => 0);

test.skipIf(whyNoPostgres)(
  "the ten steps are done on PostgreSQL, again after a restart, and no file of SQLite is made",
  async () => {
    await using server = await startPostgres();
    const dataDir = mkdtempSync(join(tmpdir(), "flotilla-system-"));
    const env = { ...process.env, ...server.stores() };
    try {
      for (let round = 1; round <= 2; round++) {
        const system = startSystem({ placement: { mode: "development", host: "127.0.0.1", ports, dataDir }, env });
        try {
          const lines: string[] = [];
          await runTenSteps(makeGatewayClient((await system.ready).urls.gateway[0]!), (line) => lines.push(line));
          expect(lines).toContain("=== Demo Complete ===");
        } finally {
          await system.stop();
        }
        const [counts] = await server.sql(
          "SELECT (SELECT count(*) FROM users.accounts) AS accounts, (SELECT count(*) FROM orders.orders) AS orders",
        );
        expect(counts).toEqual({ accounts: "3", orders: `${2 * round}` });
      }
      expect(readdirSync(dataDir).filter((file) => file.includes(".db"))).toEqual([]);
      const left = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'flotilla%'";
      await expect.poll(() => server.sql(left)).toEqual([]);
    } finally {
      rmSync(dataDir, { recursive: true });
    }
  },
);
