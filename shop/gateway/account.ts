import type { Implementation, Instances, Introduction } from "@flotilla/kit";
import type { AuditPage, AuditQuery } from "../contracts/audit.ts";
import type { MyAccount } from "../contracts/gateway.ts";
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
import type { Ended, Login, LoginSession, Profile, User } from "../contracts/users.ts";
import { reads, repeatableWrites } from "./calls.ts";
import { HeldAccount } from "./held-account.ts";
import type { Introductions, Users } from "./introductions.ts";

export interface AccountDeps {
  readonly users: Users;
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
  readonly #account: HeldAccount;
  readonly #deps: AccountDeps;
  readonly #key = `account ${crypto.randomUUID()}`;

  private constructor(account: HeldAccount, { userId, username }: Profile, deps: AccountDeps) {
    this.userId = userId;
    this.username = username;
    this.#account = account;
    this.#deps = deps;
  }

  /** @throws FlotillaError the User Service's `unauthenticated`. */
  static async open(token: string, deps: AccountDeps): Promise<AccountTarget> {
    const account = await HeldAccount.open(token, deps.users);
    try {
      return new AccountTarget(account, await account.read((it) => it.getProfile()), deps);
    } catch (thrown) {
      account[Symbol.dispose]();
      throw thrown;
    }
  }

  profile(): Promise<Profile> {
    return this.#account.read((account) => account.getProfile());
  }

  editProfile(changes: { email?: string }): Promise<Profile> {
    return this.#account.run((account) => account.editProfile(changes));
  }

  orders(page?: OrderPage): Promise<OrderEntry[]> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.listOrders(user, page), reads));
  }

  allOrders(page?: AllOrdersPage): Promise<ListedOrder[]> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.listAllOrders(user, page), reads));
  }

  createOrder(items: Item[], idempotencyKey?: string): Promise<CreatedOrder> {
    // One key for both attempts, should the kept introduction be void.
    const key = idempotencyKey ?? crypto.randomUUID();
    return this.#introduced((user) =>
      this.#deps.orders.call((main) => main.createOrder(user, items, key), repeatableWrites),
    );
  }

  order(orderId: string): Promise<ViewedOrder> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.viewOrder(orderId, user), reads));
  }

  cancelOrder(orderId: string): Promise<CancelledOrder> {
    return this.#introduced((user) =>
      this.#deps.orders.call((main) => main.cancelOrder(orderId, user), repeatableWrites),
    );
  }

  sessions(): Promise<LoginSession[]> {
    return this.#account.read((account) => account.listSessions());
  }

  async endSession(sessionId: string): Promise<void> {
    await this.#account.run((account) => account.endSession(sessionId));
  }

  changePassword(current: string, next: string): Promise<Login> {
    return this.#account.run((account) => account.changePassword(current, next));
  }

  logout(): Promise<Ended> {
    return this.#account.run((account) => account.logout());
  }

  logoutEverywhere(): Promise<Ended> {
    return this.#account.run((account) => account.logoutEverywhere());
  }

  /** Stays with the instance that hosts it: when that is gone, it is had of the account again. */
  administration() {
    return this.#account.read((account) => account.administration());
  }

  orderAudit(page?: AuditQuery): Promise<AuditPage> {
    return this.#introduced((user) => this.#deps.orders.call((main) => main.audit(user, page), reads));
  }

  [Symbol.dispose](): void {
    this.#deps.introductions.end(this.#key);
    this.#account[Symbol.dispose]();
  }

  #introduced<R>(call: (user: Introduction<User>) => PromiseLike<R>): Promise<R> {
    const hosted = (except?: string) => this.#account.hosted(except);
    return this.#deps.introductions.withUser({ key: this.#key, hosted }, call);
  }
}
