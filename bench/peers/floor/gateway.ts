import { announce, ordersAddress, usersAddress } from "../process.ts";
import { dial, serve } from "./wire.ts";

const users = await dial(usersAddress);
const orders = await dial(ordersAddress);

const methods = {
  login: (username: string, password: string) => users.call("login", username, password),
  // Asked for every order, so that nothing but the wire and the process boundaries is left of the specified flow.
  async createOrder(token: string, items: unknown, idempotencyKey: string) {
    const userId = await users.call("whoIs", token);
    return orders.call("createOrder", userId, items, idempotencyKey);
  },
};

announce(await serve(methods));
