import { type Account, accountId, isCanonicalUsername } from "./account.ts";
import { loginsPerAccountMax, loginsPurgedMax, type NewLogin, refusals, type UserStore } from "./store.ts";

/** A `UserStore` for tests: it forgets everything with the process. */
export function makeMemoryUserStore(): UserStore {
  const accounts = new Map<string, Account>();
  const names = new Map<string, Account>();
  /** By token hash, oldest first. */
  const logins = new Map<string, NewLogin>();

  function purge(nowMs: number): void {
    const expired = [...logins.values()].filter((login) => login.expiresAtMs <= nowMs);
    expired.sort((a, b) => a.expiresAtMs - b.expiresAtMs);
    for (const { tokenHash } of expired.slice(0, loginsPurgedMax)) logins.delete(tokenHash);
  }

  return {
    async addAccount(account) {
      if (!isCanonicalUsername(account.username)) throw refusals.spelling();
      if (names.has(account.username)) throw refusals.taken();
      const added: Account = { ...account, id: accountId(accounts.size + 1) };
      accounts.set(added.id, added);
      names.set(added.username, added);
      return added;
    },
    accountByName: async (username) => names.get(username),
    accountById: async (id) => accounts.get(id),
    listAccounts: async () => [...accounts.values()],
    async openLogin(login) {
      if (!accounts.has(login.accountId)) throw refusals.noAccount();
      if (logins.has(login.tokenHash)) throw refusals.tokenUsed();
      purge(login.nowMs);
      logins.set(login.tokenHash, { ...login });
      const own = [...logins.values()].filter((other) => other.accountId === login.accountId);
      for (const { tokenHash } of own.slice(0, -loginsPerAccountMax)) logins.delete(tokenHash);
    },
    async loginByTokenHash(tokenHash) {
      const login = logins.get(tokenHash);
      const account = login && accounts.get(login.accountId);
      return account && { accountId: account.id, expiresAtMs: login.expiresAtMs, account };
    },
    count: async () => accounts.size,
    close() {},
  };
}
