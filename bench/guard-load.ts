// One measurement for `guard.ts`: orders of two lines, 64 under way, over a WebSocket of the kit's in one process. Prints
// calls per second of processor time, which other programs on the machine disturb least.
import { arg, connect, contract, expose, linkLimits, type RpcTarget, serve } from "@flotilla/kit";
import { Type } from "typebox";

const runMs = 2_000;
const underWay = 64;

interface Item {
  readonly name: string;
  readonly quantity: number;
  readonly price: number;
}
interface Shop extends RpcTarget {
  order(token: string, items: Item[]): number;
}
const ItemSchema = Type.Object(
  { name: Type.String({ maxLength: 100 }), quantity: Type.Integer(), price: Type.Number() },
  { additionalProperties: false },
);
const ShopContract = contract<Shop>("Shop", {
  order: { params: [arg("token", Type.String()), arg("items", Type.Array(ItemSchema, { maxItems: 100 }))] },
});
const shop = { order: (_token: string, items: Item[]) => items.length };

const server = await serve({
  name: "shop",
  port: 0,
  edge: linkLimits,
  main: (peer) => expose(ShopContract, shop, { peer }),
});
const connection = connect<Shop>({ name: "shop", url: server.url });
await connection.opened();
const items = [
  { name: "Laptop", quantity: 1, price: 999.99 },
  { name: "Mouse", quantity: 2, price: 29.99 },
];
await load(runMs / 4);
const before = process.cpuUsage();
const calls = await load(runMs);
const { user, system } = process.cpuUsage(before);
process.stdout.write(`${Math.round(calls / ((user + system) / 1e6))}\n`);
connection.close();
await server.drain();

async function load(forMs: number): Promise<number> {
  const endMs = performance.now() + forMs;
  let calls = 0;
  const caller = async () => {
    while (performance.now() < endMs) {
      await connection.main.order("a-token-of-forty-three-characters-like-ours", items);
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: underWay }, caller));
  return calls;
}
