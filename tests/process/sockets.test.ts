import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { batchClient, patient } from "../gateway-clients.ts";
import { startProcesses, until } from "../process-harness.ts";

const items = [{ name: "Laptop", quantity: 1, price: 999.99 }];

/** Established TCP connections to `port` of this machine. */
function connectionsTo(port: number): number {
  const address = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").trim().split("\n").slice(1);
  return rows.filter((row) => row.trim().split(/\s+/)[2]?.endsWith(address) && row.trim().split(/\s+/)[3] === "01")
    .length;
}

describe.runIf(process.platform === "linux")("services that meet at Unix sockets", () => {
  test("place orders as ever, with no TCP between them, find each other after kill -9, and leave no socket", async () => {
    const parent = mkdtempSync(join(tmpdir(), "flotilla-sockets-"));
    const socketDir = join(parent, "of the shop");
    try {
      await using shop = await startProcesses({ socketDir });
      expect(readdirSync(socketDir).sort()).toEqual(["orders.sock", "users.sock"]);
      expect(statSync(socketDir).mode & 0o777).toBe(0o700);
      const client = patient(batchClient(shop.urls.gateway, { connection: "close" }));
      const { token } = await client.login("bob", "password");
      const { orderId } = await client.createOrder(token, items);
      expect(await client.listOrders(token)).toMatchObject([{ orderId }]);
      for (const name of ["users", "orders"] as const) expect(connectionsTo(portOf(shop.urls[name]))).toBe(0);

      await shop.kill("orders");
      await shop.start("orders");
      await shop.ready();
      const listed = () =>
        client.listOrders(token).then(
          (orders) => orders.length === 1,
          () => false,
        );
      await until(listed, "the orders are listed again");
    } finally {
      expect(readdirSync(socketDir)).toEqual([]);
      rmSync(parent, { recursive: true });
    }
  });
});

const portOf = (url: string) => Number(new URL(url).port);
