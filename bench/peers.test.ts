// That what we compare with does the work, and refuses what it should: no race is won against a shortcut.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { OpenClient } from "./client.ts";
import { startSystem } from "./system.ts";
import { type Variant, variants } from "./variants.ts";
import { bob, dora, items, total } from "./work.ts";

const isInstalled = existsSync(fileURLToPath(new URL("./node_modules/.package-lock.json", import.meta.url)));
/** Moleculer's TCP transporter has no Unix sockets. */
const peers = variants.filter(({ folder }) => folder.startsWith("peers/"));
const overUnix = peers
  .filter(({ folder, env }) => folder !== "peers/moleculer" && env?.BENCH_SOCKETS !== "unix")
  .map((peer): Variant => ({ ...peer, name: `${peer.name}-unix`, env: { ...peer.env, BENCH_SOCKETS: "unix" } }));
const all = [...peers.filter(({ env }) => env?.BENCH_SOCKETS !== "unix"), ...overUnix];

const first = items[0]!;
const wrong = {
  "no item": [],
  "too many items": Array.from({ length: 101 }, () => first),
  "a name without a letter": [{ ...first, name: "" }],
  "none of an item": [{ ...first, quantity: 0 }],
  "a price below zero": [{ ...first, price: -1 }],
  "a tenth of a cent": [{ ...first, price: 0.001 }],
};

// Skipped in a clone whose bench/ was not installed: `npm run bench` does that.
describe.skipIf(!isInstalled).each(all)("$name", (variant) => {
  test("keeps exactly what it acknowledges, and refuses what is not to be ordered", async () => {
    await using system = await startSystem({ variant, store: "memory" });
    for (const [name, value] of Object.entries(variant.env ?? {})) process.env[name] = value;
    const { open } = (await import(new URL(`${variant.folder}/client.ts`, import.meta.url).href)) as {
      open: OpenClient;
    };
    const client = await open(system.addresses.gateway, 16);
    for (const name of Object.keys(variant.env ?? {})) delete process.env[name];
    const token = await client.login(bob.username, bob.password);

    const orders = await Promise.all(
      Array.from({ length: 50 }, (_, i) => client.createOrder(token, items, `key-${i}`)),
    );
    for (const order of orders) expect(order).toMatchObject({ total, status: "pending", items });
    expect(new Set(orders.map(({ orderId }) => orderId)).size).toBe(50);
    expect(await client.createOrder(token, items, "key-0")).toMatchObject({ orderId: orders[0]?.orderId });

    await expect(client.login(bob.username, "not it")).rejects.toThrow();
    await expect(client.createOrder(`${token}x`, items, "unknown-token")).rejects.toThrow();
    const ofDora = await client.login(dora.username, dora.password);
    await expect(client.createOrder(ofDora, items, "no-permission")).rejects.toThrow(/permission denied/i);
    await expect(client.createOrder(token, [first], "key-0")).rejects.toThrow();
    for (const [what, unfit] of Object.entries(wrong)) {
      await expect(client.createOrder(token, unfit, `wrong-${what.replaceAll(" ", "-")}`), what).rejects.toThrow();
    }

    await client.close();
    expect(await system.stop()).toMatchObject({ stored: 50 });
  });
});
