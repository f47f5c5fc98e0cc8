import type { CallOptions, Implementation, Instances, Introduction } from "@flotilla/kit";
import type { RpcPromise, RpcStub } from "capnweb";
import type { AuditPage, AuditQuery } from "../contracts/audit.ts";
import type { MyAccount } from "../contracts/gateway.ts";
import type {
  CancelledOrder,
  CreatedOrder,
  Item,
  OrderEntry,
  OrderPage,
  OrderService,
  ViewedOrder,
} from "../contracts/orders.ts";
import type { Account, Ended, Login, LoginSession, Profile, User } from "../contracts/users.ts";
import type { Introductions } from "./introductions.ts";

/** They fail together when the disk is full, say; reads go on then. */
export const writes: CallOptions = { group: "writes" };

export interface AccountDeps {
  readonly orders: Pick<Instances<OrderService>, "call">;
  readonly introductions: Introductions;
}

/**
 * A person's account, for one session of their client: what the User Service gave for the token, and orders in its name.
 * It decides nothing; when the login ends, what it stands on does.
 */
export class AccountTarget implements Implementation<MyAccount> {
  /** Whose it is, for counting. */
  readonly userId: string;
  readonly username: string;
  readonly #account: RpcStub<Account>;
  readonly #deps: AccountDeps;
  readonly #key = `account ${crypto.randomUUID()}`;

  constructor(account: RpcStub<Account>, { userId, username }: Profile, deps: AccountDeps) {
    this.userId = userId;
    this.username = username;
    this.#account = account;
    this.#deps = deps;
  }

  /** Owns `account`, also when this rejects. */
  static async open(account: RpcPromise<Account>, deps: AccountDeps): Promise<AccountTarget> {
    const stub = await account;
    try {
      return new AccountTarget(stub, await stub.getProfile(), deps);
    } catch (thrown) {
      stub[Symbol.dispose]();
      throw thrown;
    }
  }

  async profile(): Promise<Profile> {
    return await this.#account.getProfile();
  }

  async editProfile(changes: { email?: string }): Promise<Profile> {
    return await this.#account.editProfile(changes);
  }

  orders(page?: OrderPage): Promise<OrderEntry[]> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.listOrders(user, page)));
  }

  createOrder(items: Item[], idempotencyKey?: string): Promise<CreatedOrder> {
    // One key for both attempts, should the kept introduction be void.
    const key = idempotencyKey ?? crypto.randomUUID();
    return this.#introduced((user) => this.#deps.orders.call((main) => main.createOrder(user, items, key), writes));
  }

  order(orderId: string): Promise<ViewedOrder> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.viewOrder(orderId, user)));
  }

  cancelOrder(orderId: string): Promise<CancelledOrder> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.cancelOrder(orderId, user), writes));
  }

  async sessions(): Promise<LoginSession[]> {
    return await this.#account.listSessions();
  }

  async endSession(sessionId: string): Promise<void> {
    await this.#account.endSession(sessionId);
  }

  async changePassword(current: string, next: string): Promise<Login> {
    return await this.#account.changePassword(current, next);
  }

  async logout(): Promise<Ended> {
    return await this.#account.logout();
  }

  async logoutEverywhere(): Promise<Ended> {
    return await this.#account.logoutEverywhere();
  }

  async administration() {
    return await this.#account.administration();
  }

  orderAudit(page?: AuditQuery): Promise<AuditPage> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.audit(user, page)));
  }

  [Symbol.dispose](): void {
    this.#deps.introductions.end(this.#key);
    this.#account[Symbol.dispose]();
  }

  #introduced<R>(call: (user: Introduction<User>) => PromiseLike<R>): Promise<R> {
    return this.#deps.introductions.withUser({ key: this.#key, user: () => this.#account.user() }, call);
  }
}
