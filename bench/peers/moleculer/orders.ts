import { type Context, Errors } from "moleculer";
import { createPermission, type Item, totalMinorOf } from "../../work.ts";
import { announce, storeOfThisRun, usersAddress } from "../process.ts";
import { addressOfNode, makeBroker } from "./broker.ts";

const store = storeOfThisRun();
const broker = makeBroker("orders", usersAddress);

interface CreateOrder {
  readonly items: readonly Item[];
}
/** Travels with a call; the gateway put both in. */
interface Meta {
  readonly userId: string;
  readonly idempotencyKey: string;
}

broker.createService({
  name: "orders",
  actions: {
    create: {
      params: {
        $$strict: true,
        items: {
          type: "array",
          min: 1,
          max: 100,
          items: {
            type: "object",
            strict: true,
            props: {
              name: { type: "string", min: 1, max: 100 },
              quantity: { type: "number", integer: true, min: 1, max: 10_000 },
              price: { type: "number", min: 0, max: 1_000_000 },
            },
          },
        },
      },
      async handler(ctx: Context<CreateOrder, Meta>) {
        const { userId, idempotencyKey } = ctx.meta;
        const { items } = ctx.params;
        const isAllowed = await broker.call("users.isAllowed", { userId, permission: createPermission });
        if (!isAllowed) throw new Errors.MoleculerClientError("Permission denied", 403);
        const totalMinor = totalMinorOf(items);
        const { orderId } = await store.place({ userId, items, totalMinor, idempotencyKey });
        return { orderId, total: totalMinor / 100, status: "pending", items };
      },
    },
  },
});

await broker.start();
await broker.waitForServices("users", 10_000, 20);
announce(addressOfNode(broker));
