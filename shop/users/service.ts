import { type Clock, expiring, FlotillaError, type Home, type Implementation, type Peer } from "@flotilla/kit";
import type { RpcTarget } from "capnweb";
import {
  type Login,
  type User,
  type UserService,
  UserServiceContract,
  UserServiceForPeersContract,
  type UserSummary,
} from "../contracts/users.ts";
import { type Account, canonicalUsername } from "./account.ts";
import type { Passwords } from "./password.ts";
import { roleAllows } from "./role.ts";
import type { UserStore } from "./store.ts";
import { hashToken, isTokenShaped, newToken, tokenLifetimeMsDefault } from "./token.ts";

export interface UserDeps {
  readonly clock: Clock;
  readonly store: UserStore;
  readonly passwords: Passwords;
  readonly tokenLifetimeMs?: number;
}

/** Which facet a peer gets: the gateway handles tokens, other services only withdraw, nobody else gets anything. */
export function userServiceFor(peer: Peer, home: Home, deps: UserDeps): RpcTarget | undefined {
  if (peer.kind !== "service") return undefined;
  if (peer.name !== "gateway") return home.main(UserServiceForPeersContract, {}, peer);
  return home.main(UserServiceContract, new UserServiceTarget(deps), peer);
}

class UserServiceTarget implements Implementation<UserService> {
  readonly #deps: UserDeps;

  constructor(deps: UserDeps) {
    this.#deps = deps;
  }

  async authenticate(username: string, password: string): Promise<Login> {
    const { clock, store, passwords, tokenLifetimeMs = tokenLifetimeMsDefault } = this.#deps;
    const account = await store.accountByName(canonicalUsername(username));
    const isRight = await passwords.verify(account?.passwordHash, password);
    if (!account || !isRight) throw new FlotillaError("unauthenticated", "Invalid username or password");
    const token = newToken();
    const nowMs = clock.now();
    const expiresAt = nowMs + tokenLifetimeMs;
    await store.openLogin({ tokenHash: hashToken(token), accountId: account.id, expiresAtMs: expiresAt, nowMs });
    return { token, userId: account.id, username: account.username, role: account.role, expiresAt };
  }

  async getUser(id: string): Promise<UserTarget> {
    const account = await this.#deps.store.accountById(id);
    if (!account) throw new FlotillaError("not_found", "User not found");
    return new UserTarget(account, this.#deps.store);
  }

  async getUserByToken(token: string): Promise<UserTarget> {
    const { clock, store } = this.#deps;
    const login = isTokenShaped(token) ? await store.loginByTokenHash(hashToken(token)) : undefined;
    if (!login || login.expiresAtMs <= clock.now()) {
      throw new FlotillaError("unauthenticated", "Invalid or expired token");
    }
    return expiring(new UserTarget(login.account, store), login.expiresAtMs);
  }

  async listUsers(): Promise<UserSummary[]> {
    const accounts = await this.#deps.store.listAccounts();
    return accounts.map(({ id, username, role }) => ({ id, username, role }));
  }
}

/** The User capability. What may change is read anew at each call, so that a change counts from the next call on. */
class UserTarget implements Implementation<User> {
  readonly #id: string;
  readonly #username: string;
  readonly #store: UserStore;

  constructor({ id, username }: Account, store: UserStore) {
    this.#id = id;
    this.#username = username;
    this.#store = store;
  }

  getId(): string {
    return this.#id;
  }

  getUsername(): string {
    return this.#username;
  }

  async getEmail(): Promise<string> {
    return (await this.#account()).email;
  }

  async getRole(): Promise<string> {
    return (await this.#account()).role;
  }

  async hasPermission(permission: string): Promise<boolean> {
    return roleAllows((await this.#account()).role, permission);
  }

  async #account(): Promise<Account> {
    const account = await this.#store.accountById(this.#id);
    if (!account) throw new FlotillaError("permission_denied", "The account is gone", { reason: "revoked" });
    return account;
  }
}
