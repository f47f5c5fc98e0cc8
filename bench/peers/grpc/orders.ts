import { status } from "@grpc/grpc-js";
import { createPermission, totalMinorOf } from "../../work.ts";
import { announce, socketPath, storeOfThisRun, usersAddress } from "../process.ts";
import { checkOrder, dial, type OrderRequest, type OrderResponse, StatusError, serve } from "./wire.ts";

const store = storeOfThisRun();
const users = dial("Users", usersAddress);

async function CreateOrder(request: OrderRequest): Promise<OrderResponse> {
  checkOrder(request);
  const { userId = "", items, idempotencyKey } = request;
  const { allowed } = await users.call("IsAllowed", { userId, permission: createPermission });
  if (!allowed) throw new StatusError(status.PERMISSION_DENIED, "Permission denied");
  const totalMinor = totalMinorOf(items);
  const { orderId } = await store.place({ userId, items, totalMinor, idempotencyKey });
  return { orderId, total: totalMinor / 100, status: "pending", items: [...items] };
}

announce(await serve("Orders", { CreateOrder }, socketPath("orders")));
