import type { RpcStub } from "@flotilla/kit";
import { openBatch } from "@flotilla/kit/browser";
import type { Gateway } from "../contracts/gateway.ts";
import type { CancelledOrder, CreatedOrder, Item, OrderEntry } from "../contracts/orders.ts";
import type { Login, Profile, UserSummary } from "../contracts/users.ts";

/** The gateway's methods as a client has them: each call is a promise. */
export interface GatewayClient {
  login(username: string, password: string): Promise<Login>;
  getUserProfile(token: string): Promise<Profile>;
  listUsers(token: string): Promise<UserSummary[]>;
  createOrder(token: string, items: Item[]): Promise<CreatedOrder>;
  listOrders(token: string): Promise<OrderEntry[]>;
  cancelOrder(token: string, orderId: string): Promise<CancelledOrder>;
}

/** A call that takes longer has failed: the gateway answers within its own deadline of 10 s. Milliseconds. */
const callMsMax = 15_000;

/** A client of the gateway at `url`: each call is an HTTP batch of its own. Refusals reject with an error that has our `code`. */
export function makeGatewayClient(url: string): GatewayClient {
  async function call<T>(run: (gateway: RpcStub<Gateway>) => PromiseLike<T>): Promise<T> {
    using batch = openBatch<Gateway>({ url: `${url}/rpc/batch`, signal: AbortSignal.timeout(callMsMax) });
    return await run(batch.main);
  }
  return {
    login: (username, password) => call((gateway) => gateway.login(username, password)),
    getUserProfile: (token) => call((gateway) => gateway.getUserProfile(token)),
    listUsers: (token) => call((gateway) => gateway.listUsers(token)),
    createOrder: (token, items) => call((gateway) => gateway.createOrder(token, items)),
    listOrders: (token) => call((gateway) => gateway.listOrders(token)),
    cancelOrder: (token, orderId) => call((gateway) => gateway.cancelOrder(token, orderId)),
  };
}
