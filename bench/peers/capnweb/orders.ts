import { type RpcStub, RpcTarget } from "capnweb";
import { type CreatedOrder, checkItems, createPermission, totalMinorOf } from "../../work.ts";
import { announce, socketPath, storeOfThisRun } from "../process.ts";
import type { User } from "./api.ts";
import { serve } from "./serve.ts";

const store = storeOfThisRun();

export class Orders extends RpcTarget {
  async createOrder(user: RpcStub<User>, unchecked: unknown, idempotencyKey: string): Promise<CreatedOrder> {
    const items = checkItems(unchecked);
    const [userId, isAllowed] = await Promise.all([user.getId(), user.hasPermission(createPermission)]);
    if (!isAllowed) throw new Error("Permission denied");
    const totalMinor = totalMinorOf(items);
    const { orderId } = await store.place({ userId, items, totalMinor, idempotencyKey });
    return { orderId, total: totalMinor / 100, status: "pending", items };
  }
}

announce(await serve(() => new Orders(), socketPath("orders")));
