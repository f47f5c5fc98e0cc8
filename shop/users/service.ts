import { expiring, type Home, type Implementation, type Peer, type RpcTarget } from "@flotilla/kit";
import {
  canonicalUsername,
  type Login,
  type UserService,
  UserServiceContract,
  UserServiceForPeersContract,
  type UserSummary,
} from "../contracts/users.ts";
import type { Account } from "./account.ts";
import { AccountTarget, userOf } from "./account-target.ts";
import { authenticate, loginOf, refresh, type UserDeps } from "./authentication.ts";
import { refusals } from "./store.ts";
import { UserTarget } from "./user.ts";

/** One answer holds so many; administrators page through the rest. */
const usersListedMax = 1_000;

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

  authenticate(username: string, password: string): Promise<Login> {
    return authenticate(this.#deps, username, password);
  }

  refresh(refreshToken: string): Promise<Login> {
    return refresh(this.#deps, refreshToken);
  }

  async getUser(id: string): Promise<UserTarget> {
    const { store } = this.#deps;
    const account = await store.accountById(id);
    if (!account) throw refusals.noAccount();
    return new UserTarget(account, () => store.standing(account.id));
  }

  async getUserByToken(token: string): Promise<UserTarget> {
    const found = await loginOf(this.#deps, token);
    const user = userOf(this.#deps, found, found.hold);
    return expiring(user, Math.min(found.tokenEndsAtMs, found.login.endsAtMs));
  }

  async account(token: string): Promise<AccountTarget> {
    const found = await loginOf(this.#deps, token);
    return expiring(new AccountTarget(this.#deps, found), found.login.endsAtMs);
  }

  async listUsers(): Promise<UserSummary[]> {
    const accounts = await this.#deps.store.listAccounts({ limit: usersListedMax });
    return accounts.map(toSummary);
  }

  async findUser(username: string): Promise<UserSummary> {
    const account = await this.#deps.store.accountByName(canonicalUsername(username));
    if (!account) throw refusals.noAccount();
    return toSummary(account);
  }
}

function toSummary({ id, username, role }: Account): UserSummary {
  return { id, username, role };
}
