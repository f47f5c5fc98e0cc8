import type { Connection, Implementation } from "@flotilla/kit";
import type { Gateway } from "../contracts/gateway.ts";
import type { CancelledOrder, CreatedOrder, Item, OrderEntry, OrderService } from "../contracts/orders.ts";
import type { Login, Profile, UserService, UserSummary } from "../contracts/users.ts";
import type { Introductions } from "./introductions.ts";

export interface GatewayDeps {
  readonly users: Connection<UserService>;
  readonly orders: Connection<OrderService>;
  readonly introductions: Introductions;
}

/** Routes, and introduces users to the services that act for them. It decides nothing: every answer is another's. */
export class GatewayTarget implements Implementation<Gateway> {
  readonly #deps: GatewayDeps;

  constructor(deps: GatewayDeps) {
    this.#deps = deps;
  }

  async login(username: string, password: string): Promise<Login> {
    return await this.#deps.users.main.authenticate(username, password);
  }

  async getUserProfile(token: string): Promise<Profile> {
    using user = this.#deps.users.main.getUserByToken(token);
    const [userId, username, email, role] = await Promise.all([
      user.getId(),
      user.getUsername(),
      user.getEmail(),
      user.getRole(),
    ]);
    return { userId, username, email, role };
  }

  async listUsers(token: string): Promise<UserSummary[]> {
    const users = this.#deps.users.main;
    using user = users.getUserByToken(token);
    const [summaries] = await Promise.all([users.listUsers(), user.getId()]);
    return summaries;
  }

  createOrder(token: string, items: Item[], idempotencyKey?: string): Promise<CreatedOrder> {
    const { introductions, orders } = this.#deps;
    // One key for both attempts, should the kept introduction be void.
    const key = idempotencyKey ?? crypto.randomUUID();
    return introductions.with(token, (user) => orders.main.createOrder(user, items, key));
  }

  listOrders(token: string): Promise<OrderEntry[]> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.main.listOrders(user));
  }

  cancelOrder(token: string, orderId: string): Promise<CancelledOrder> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.main.cancelOrder(orderId, user));
  }
}
