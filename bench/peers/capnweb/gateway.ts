import { newWebSocketRpcSession, RpcTarget } from "capnweb";
import { type CreatedOrder, checkItems } from "../../work.ts";
import { announce, ordersAddress, usersAddress } from "../process.ts";
import type * as api from "./api.ts";
import type { Orders } from "./orders.ts";
import { serve, socketTo } from "./serve.ts";

const users = newWebSocketRpcSession<api.Users>(socketTo(usersAddress));
const orders = newWebSocketRpcSession<Orders>(socketTo(ordersAddress));

class Gateway extends RpcTarget implements api.Gateway {
  async login(username: string, password: string): Promise<string> {
    return await users.authenticate(username, password);
  }
  async createOrder(token: string, unchecked: unknown, idempotencyKey: string): Promise<CreatedOrder> {
    const items = checkItems(unchecked);
    // The order leaves at once, with the promise of its user: that is what capnweb pipelines.
    using promised = users.getUserByToken(token);
    using user = promised.dup();
    return await orders.createOrder(user, items, idempotencyKey);
  }
}

announce(await serve(() => new Gateway()));
