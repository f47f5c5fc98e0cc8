import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { hasCode } from "@flotilla/kit";
import { expect, test } from "vitest";
import { batchClient } from "../gateway-clients.ts";
import { startProcesses, until } from "../process-harness.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const operations = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");

/** The commands of the chapter on rotation, as they stand there. */
const [, block = ""] = /^```sh\n([\s\S]*?)^```$/m.exec(operations) ?? [];
const commands = block.trim().split("\n");

/** Places an order every 20 ms, within the budget of its address, until it is told to stop. */
function placeOrders(url: string, token: string) {
  const client = batchClient(url, { connection: "close" });
  const said = { placed: 0, failures: [] as unknown[] };
  let isOver = false;
  const item = { name: "Laptop", quantity: 1, price: 999.99 };
  const done = (async () => {
    for (; !isOver; await delay(20)) {
      const key = crypto.randomUUID();
      await client.createOrder(token, [item], key).then(
        () => (said.placed += 1),
        (error: unknown) => said.failures.push(error),
      );
    }
  })();
  return {
    said,
    async stop() {
      isOver = true;
      await done;
    },
  };
}

test("the gateway's key is rotated and revoked by the commands of the documentation, while orders are placed", async () => {
  expect(commands).toHaveLength(5);
  await using shop = await startProcesses();
  const env = { ...process.env, FLOTILLA_DATA: shop.dataDir };
  const { token } = await batchClient(shop.urls.gateway, { connection: "close" }).login("bob", "password");
  const orders = placeOrders(shop.urls.gateway, token);
  const printed: string[] = [];
  for (const command of commands) {
    const [program = "", ...args] = command.split(" ");
    printed.push((await run(program, args, { cwd: root, env })).stdout);
  }
  const [listed = "", rotated = "", shown = "", revoked = "", left = ""] = printed;
  const old = /^gateway +([\w-]{43}) +current/m.exec(listed)?.[1];
  const next = /^trust gateway ([\w-]{43})$/.exec(rotated.trim())?.[1];
  expect(shown).toBe(`trust gateway ${old}\ntrust gateway ${next}\n`);
  expect(revoked).toBe(`revoked gateway ${old}\n`);
  expect(left).toMatch(new RegExp(`^gateway +${old} +revoked`, "m"));
  expect(left).toMatch(new RegExp(`^gateway +${next} +current`, "m"));

  // Both of its sessions are ended, and opened anew by the next key, without a restart.
  const sessions = async () =>
    (await Promise.all([shop.stats("users"), shop.stats("orders")])).map((it) => it.server.sessions);
  await until(
    async () => orders.said.failures.length > 0 || (await sessions()).includes(0),
    "the revoked key has ended",
  );
  await shop.ready();
  const { placed } = orders.said;
  await until(async () => orders.said.placed > placed + 10, "orders are placed by the next key");
  await orders.stop();
  for (const error of orders.said.failures) expect(hasCode(error, "unavailable"), String(error)).toBe(true);
});
