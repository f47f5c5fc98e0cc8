import type { Connection, Implementation, Instances } from "@flotilla/kit";
import type { RpcStub } from "capnweb";
import type { Administration, NewUser, Role, UserRecord } from "../contracts/administration.ts";
import type { Gateway } from "../contracts/gateway.ts";
import type {
  CancelledOrder,
  CreatedOrder,
  Item,
  OrderEntry,
  OrderPage,
  OrderService,
  ViewedOrder,
} from "../contracts/orders.ts";
import type { Account, Ended, Login, Profile, UserService, UserSummary } from "../contracts/users.ts";
import { AccountTarget, writes } from "./account.ts";
import type { Introductions } from "./introductions.ts";

export interface GatewayDeps {
  readonly users: Connection<UserService>;
  readonly orders: Pick<Instances<OrderService>, "call">;
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

  async refresh(refreshToken: string): Promise<Login> {
    return await this.#deps.users.main.refresh(refreshToken);
  }

  logout(token: string): Promise<Ended> {
    return this.#asAccount(token, (account) => account.logout());
  }

  account(token: string): Promise<AccountTarget> {
    return AccountTarget.open(this.#deps.users.main.account(token), this.#deps);
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

  editProfile(token: string, changes: { email?: string }): Promise<Profile> {
    return this.#asAccount(token, (account) => account.editProfile(changes));
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
    return introductions.with(token, (user) => orders.call((main) => main.createOrder(user, items, key), writes));
  }

  listOrders(token: string, page?: OrderPage): Promise<OrderEntry[]> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.call((main) => main.listOrders(user, page)));
  }

  getOrder(token: string, orderId: string): Promise<ViewedOrder> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.call((main) => main.viewOrder(orderId, user)));
  }

  cancelOrder(token: string, orderId: string): Promise<CancelledOrder> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.call((main) => main.cancelOrder(orderId, user), writes));
  }

  createUser(token: string, user: NewUser): Promise<UserRecord> {
    return this.#asAdministrator(token, (administration) => administration.createUser(user));
  }

  disableUser(token: string, userId: string): Promise<UserRecord> {
    return this.#asAdministrator(token, (administration) => administration.disableUser(userId));
  }

  setRole(token: string, userId: string, role: string): Promise<UserRecord> {
    return this.#asAdministrator(token, (administration) => administration.setRole(userId, role));
  }

  listRoles(token: string): Promise<Role[]> {
    return this.#asAdministrator(token, (administration) => administration.listRoles());
  }

  setRolePermissions(token: string, role: string, permissions: string[]): Promise<Role> {
    return this.#asAdministrator(token, (administration) => administration.setRolePermissions(role, permissions));
  }

  /** Nothing is awaited on the way, so it all leaves in one turn. */
  async #asAccount<R>(token: string, ask: (account: RpcStub<Account>) => PromiseLike<R>): Promise<R> {
    using account = this.#deps.users.main.account(token);
    return await ask(account);
  }

  /** For anybody with a token: whether they may is for the User Service to say, at each method. */
  #asAdministrator<R>(token: string, ask: (administration: RpcStub<Administration>) => PromiseLike<R>): Promise<R> {
    return this.#asAccount(token, async (account) => {
      using administration = account.administration();
      return await ask(administration);
    });
  }
}
