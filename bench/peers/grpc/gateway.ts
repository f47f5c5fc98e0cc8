import { status } from "@grpc/grpc-js";
import { announce, ordersAddress, usersAddress } from "../process.ts";
import { userIdOf } from "../token.ts";
import { checkOrder, dial, type OrderRequest, StatusError, serve } from "./wire.ts";

const users = dial("Users", usersAddress);
const orders = dial("Orders", ordersAddress);

function verified(token: string): string {
  try {
    return userIdOf(token);
  } catch {
    throw new StatusError(status.UNAUTHENTICATED, "Invalid or expired token");
  }
}

async function CreateOrder(request: OrderRequest) {
  checkOrder(request);
  const { token = "", items, idempotencyKey } = request;
  return orders.call("CreateOrder", { userId: verified(token), items, idempotencyKey });
}

announce(await serve("Gateway", { Login: (request) => users.call("Login", request), CreateOrder }));
