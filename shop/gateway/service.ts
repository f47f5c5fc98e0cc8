import {
  type CallOptions,
  type Clock,
  FlotillaError,
  hasCode,
  type Implementation,
  type Instances,
  type RpcStub,
  withContext,
} from "@flotilla/kit";
import type { Administration, NewUser, Role, UserRecord } from "../contracts/administration.ts";
import type { Gateway } from "../contracts/gateway.ts";
import type {
  AllOrdersPage,
  CancelledOrder,
  CreatedOrder,
  Item,
  ListedOrder,
  OrderEntry,
  OrderPage,
  OrderService,
  ViewedOrder,
} from "../contracts/orders.ts";
import type { SystemStatus } from "../contracts/status.ts";
import type { Account, Ended, Login, Profile, UserSummary } from "../contracts/users.ts";
import { AccountTarget } from "./account.ts";
import { reads, repeatableWrites, writes } from "./calls.ts";
import type { Introductions, Users } from "./introductions.ts";

export interface GatewayDeps {
  readonly users: Users;
  readonly orders: Pick<Instances<OrderService>, "call">;
  readonly introductions: Introductions;
  readonly clock: Clock;
  /** Of this process, for administrators. */
  readonly status: () => SystemStatus;
}

/** For the one question before `status`, which somebody asks because something hangs. Milliseconds. */
const usersMsMax = 2_000;

/** Routes, and introduces users to the services that act for them. It decides nothing: every answer is another's. */
export class GatewayTarget implements Implementation<Gateway> {
  readonly #deps: GatewayDeps;

  constructor(deps: GatewayDeps) {
    this.#deps = deps;
  }

  login(username: string, password: string): Promise<Login> {
    return this.#deps.users.call((main) => main.authenticate(username, password), writes);
  }

  refresh(refreshToken: string): Promise<Login> {
    return this.#deps.users.call((main) => main.refresh(refreshToken), writes);
  }

  async logout(token: string): Promise<Ended> {
    const ended = await this.#asAccount(token, (account) => account.logout());
    this.#deps.introductions.endOf(token);
    return ended;
  }

  account(token: string): Promise<AccountTarget> {
    return AccountTarget.open(token, this.#deps);
  }

  getUserProfile(token: string): Promise<Profile> {
    return this.#deps.users.call(async (main) => {
      using user = main.getUserByToken(token);
      const [userId, username, email, role] = await Promise.all([
        user.getId(),
        user.getUsername(),
        user.getEmail(),
        user.getRole(),
      ]);
      return { userId, username, email, role };
    }, reads);
  }

  editProfile(token: string, changes: { email?: string }): Promise<Profile> {
    return this.#asAccount(token, (account) => account.editProfile(changes));
  }

  listUsers(token: string): Promise<UserSummary[]> {
    return this.#deps.users.call(async (main) => {
      using user = main.getUserByToken(token);
      const [summaries] = await Promise.all([main.listUsers(), user.getId()]);
      return summaries;
    }, reads);
  }

  findUser(token: string, username: string): Promise<UserSummary> {
    return this.#deps.users.call(async (main) => {
      using user = main.getUserByToken(token);
      // The token first: without a login nobody learns which names there are.
      await user.getId();
      return await main.findUser(username);
    }, reads);
  }

  createOrder(token: string, items: Item[], idempotencyKey?: string): Promise<CreatedOrder> {
    const { introductions, orders } = this.#deps;
    // One key for both attempts, should the kept introduction be void.
    const key = idempotencyKey ?? crypto.randomUUID();
    return introductions.with(token, (user) =>
      orders.call((main) => main.createOrder(user, items, key), repeatableWrites),
    );
  }

  listOrders(token: string, page?: OrderPage): Promise<OrderEntry[]> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.call((main) => main.listOrders(user, page), reads));
  }

  listAllOrders(token: string, page?: AllOrdersPage): Promise<ListedOrder[]> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.call((main) => main.listAllOrders(user, page), reads));
  }

  getOrder(token: string, orderId: string): Promise<ViewedOrder> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) => orders.call((main) => main.viewOrder(orderId, user), reads));
  }

  cancelOrder(token: string, orderId: string): Promise<CancelledOrder> {
    const { introductions, orders } = this.#deps;
    return introductions.with(token, (user) =>
      orders.call((main) => main.cancelOrder(orderId, user), repeatableWrites),
    );
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
    return this.#asAdministrator(token, (administration) => administration.listRoles(), reads);
  }

  setRolePermissions(token: string, role: string, permissions: string[]): Promise<Role> {
    return this.#asAdministrator(token, (administration) => administration.setRolePermissions(role, permissions));
  }

  /** The only answer that is the gateway's own; who may have it the user says, as the User Service made them. */
  async status(token: string): Promise<SystemStatus> {
    const { users, clock } = this.#deps;
    const ask = () =>
      users.call(async (main) => {
        using user = main.getUserByToken(token);
        return await user.hasPermission("system.admin");
      }, reads);
    const isAllowed = await withContext({ timeoutMs: usersMsMax }, ask, clock).catch((error: unknown) => {
      if (!hasCode(error, "deadline_exceeded")) throw error;
      const message = `users has not answered for ${usersMsMax / 1_000} s, so nobody can be shown the details`;
      throw new FlotillaError("unavailable", message, { reason: "users_silent", retryable: false });
    });
    if (!isAllowed)
      throw new FlotillaError("permission_denied", "You don't have permission to see the system's status");
    return this.#deps.status();
  }

  /** Nothing is awaited on the way, so it all leaves in one turn. */
  #asAccount<R>(
    token: string,
    ask: (account: RpcStub<Account>) => PromiseLike<R>,
    options: CallOptions = writes,
  ): Promise<R> {
    return this.#deps.users.call(async (main) => {
      using account = main.account(token);
      return await ask(account);
    }, options);
  }

  /** For anybody with a token: whether they may is for the User Service to say, at each method. */
  #asAdministrator<R>(
    token: string,
    ask: (administration: RpcStub<Administration>) => PromiseLike<R>,
    options?: CallOptions,
  ): Promise<R> {
    const asked = async (account: RpcStub<Account>) => {
      using administration = account.administration();
      return await ask(administration);
    };
    return this.#asAccount(token, asked, options);
  }
}
