import { checkItems, createPermission, totalMinorOf } from "../../work.ts";
import { announce, socketPath, storeOfThisRun, usersAddress } from "../process.ts";
import { dial, serve } from "./wire.ts";

const store = storeOfThisRun();
const users = await dial(usersAddress);

async function createOrder(userId: string, unchecked: unknown, idempotencyKey: string) {
  const items = checkItems(unchecked);
  if (!(await users.call("isAllowed", userId, createPermission))) throw new Error("Permission denied");
  const totalMinor = totalMinorOf(items);
  const { orderId } = await store.place({ userId, items, totalMinor, idempotencyKey });
  return { orderId, total: totalMinor / 100, status: "pending", items };
}

announce(await serve({ createOrder }, socketPath("orders")));
