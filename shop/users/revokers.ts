import { makeRevoker, type Revocation, type Revoker } from "@flotilla/kit";

/** One login of one account. */
export interface LoginName {
  readonly accountId: string;
  readonly sid: string;
}

/** What a capability hangs on. Disposing it twice does nothing. */
export interface Hold extends Disposable {
  readonly revocation: Revocation;
  /** Another hold of the same revoker, revoked or not. */
  again(): Hold;
}

/**
 * The revokers of logins, each hanging on that of its account. They are kept while something holds them, and no longer.
 *
 * Whoever looks up a login takes hold of its revoker first: if the login ends between the look and the making of the
 * capability, the capability is born revoked.
 */
export interface Revokers {
  hold(login: LoginName): Hold;
  /** After the store has ended it. Once this returned, no call begins on what hangs on it. */
  endLogin(login: LoginName): void;
  /** The same, of every login that the account has had until now; later ones have a revoker of their own. */
  endAccount(accountId: string): void;
  /** Logins with something hanging on them. */
  readonly size: number;
}

interface Entry {
  readonly revoker: Revoker;
  holds: number;
}

interface AccountEntry {
  readonly revoker: Revoker;
  readonly logins: Map<string, Entry>;
}

export function makeRevokers(): Revokers {
  const accounts = new Map<string, AccountEntry>();
  let size = 0;
  return {
    hold({ accountId, sid }) {
      const account = accounts.get(accountId) ?? { revoker: makeRevoker(), logins: new Map<string, Entry>() };
      accounts.set(accountId, account);
      const known = account.logins.get(sid);
      const entry = known ?? { revoker: makeRevoker(account.revoker), holds: 0 };
      if (!known) size += 1;
      account.logins.set(sid, entry);
      return makeHold(entry, () => forget({ accountId, sid }, entry));
    },
    endLogin(login) {
      const entry = accounts.get(login.accountId)?.logins.get(login.sid);
      if (!entry) return;
      forget(login, entry);
      entry.revoker.revoke();
    },
    endAccount(accountId) {
      const account = accounts.get(accountId);
      if (!account) return;
      accounts.delete(accountId);
      size -= account.logins.size;
      account.revoker.revoke();
    },
    get size() {
      return size;
    },
  };

  /** Only `entry`: after a revocation another may stand in its place. */
  function forget({ accountId, sid }: LoginName, entry: Entry): void {
    const account = accounts.get(accountId);
    if (account?.logins.get(sid) !== entry) return;
    account.logins.delete(sid);
    size -= 1;
    if (account.logins.size === 0) accounts.delete(accountId);
  }
}

function makeHold(entry: Entry, onLast: () => void): Hold {
  entry.holds += 1;
  let isReleased = false;
  return {
    revocation: entry.revoker,
    again: () => makeHold(entry, onLast),
    [Symbol.dispose]() {
      if (isReleased) return;
      isReleased = true;
      entry.holds -= 1;
      if (entry.holds === 0) onLast();
    },
  };
}
