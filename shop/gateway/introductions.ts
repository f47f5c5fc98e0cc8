import {
  type Clock,
  type Connection,
  type Gifted,
  hasCode,
  type Instances,
  type Introducible,
  type Introduction,
  introduce,
  type RpcPromise,
  reasonOf,
  withOwnDeadline,
} from "@flotilla/kit";
import type { User, UserService } from "../contracts/users.ts";
import { moveMs } from "./recently-used.ts";
import { keyOf } from "./token-key.ts";

/** All instances of the User Service. */
export type Users = Pick<Instances<UserService>, "call" | "pick" | "opened" | "isOpen">;

export interface IntroductionsOptions {
  /** The homes of the users. */
  readonly users: Users;
  /** The service they are introduced to. */
  readonly to: string;
  readonly clock: Clock;
  /** Introductions kept; above it the one that was not used longest is ended. Default 10,000: people online at once. */
  readonly entriesMax?: number;
}

/** Introduces each logged-in user once, and uses the introduction again for as long as the token lives. */
export interface Introductions extends Disposable {
  /**
   * Runs `call` with an introduction of the user of `token`. `call` runs again, with a new one, when a kept
   * introduction turns out to be void: it was then refused before it had any effect. It runs again, with one from another
   * instance if there is one, when the home of the first was lost or is stopping: nobody knows then how far it came, so
   * `call` only reads, carries an idempotency key, or does the same when it is done twice.
   *
   * @throws FlotillaError the User Service's `unauthenticated` when the token is none, and what `call` throws.
   */
  with<R>(token: string, call: (user: Introduction<User>) => PromiseLike<R>): Promise<R>;
  /** The same for a user who is obtained otherwise than by a token, until `end`. */
  withUser<R>(whose: Whose, call: (user: Introduction<User>) => PromiseLike<R>): Promise<R>;
  /** Ends the introduction kept under `key`, if there is one. */
  end(key: string): void;
  /** Ends the introduction kept for `token`, if there is one: its login is over. */
  endOf(token: string): void;
  readonly size: number;
}

export interface Whose {
  /** Under which the introduction is kept. Not to be guessed from outside. */
  readonly key: string;
  /** @param except an instance that proved to be the wrong one; taken only if there is no other. */
  hosted(except?: string): Promise<Hosted>;
}

/** A user at one instance of the User Service. */
export interface Hosted {
  readonly from: Connection<UserService>;
  /** To be called at once. The caller of this owns it. */
  user(): RpcPromise<User & Introducible>;
}

const entriesMaxDefault = 10_000;

/**
 * Deposits that nobody has answered yet, above which a call waits for the answer before it is sent on: so a flood of bad
 * tokens does not fill the places of those who wait at the User Service. One more round trip, and only then.
 */
const undecidedMax = 100;

/** Entries looked at for one to end: the oldest are seldom in use, and no call is to wait for a search. */
const searchedMax = 32;

/** A kept introduction, and how many calls use it now. */
interface Entry {
  readonly gift: Gifted<User>;
  uses: number;
  movedAtMs: number;
  /** It is kept no longer, and ended when nobody uses it any more. */
  isLeft: boolean;
}

/** What the recipient and the home say about an introduction that is over: nothing was done, a new one may do. */
const voidReasons: ReadonlySet<string | undefined> = new Set(["introduction_refused", "expired", "home_restarted"]);
/** What the recipient says of an instance that it cannot ask. */
const lostReasons: ReadonlySet<string | undefined> = new Set(["home_restarted", "home_unreachable"]);
/** Introductions that one call is sent with at most: two instances may stop one right after the other. */
const attemptsMax = 4;
/** From the second on, for the recipient to connect to an instance that has just come back. Milliseconds, times the attempt. */
const connectMs = 100;

export function makeIntroductions(options: IntroductionsOptions): Introductions {
  const { users, to, clock, entriesMax = entriesMaxDefault } = options;
  /** By the hash of the token, the most recently used last. */
  const kept = new Map<string, Entry>();
  let undecided = 0;

  return {
    with(token, call) {
      return withUser({ key: keyOf(token), hosted: (except) => hostedByToken(token, except) }, call);
    },
    withUser,
    end,
    endOf: (token) => end(keyOf(token)),
    get size() {
      return kept.size;
    },
    [Symbol.dispose]() {
      for (const { gift } of [...kept.values()]) gift[Symbol.dispose]();
    },
  };

  function end(key: string): void {
    kept.get(key)?.gift[Symbol.dispose]();
  }

  async function hostedByToken(token: string, except?: string): Promise<Hosted> {
    await users.opened();
    const from = users.pick(except);
    return { from, user: () => from.main.getUserByToken(token) };
  }

  async function withUser<R>(whose: Whose, call: (user: Introduction<User>) => PromiseLike<R>): Promise<R> {
    let except: string | undefined;
    for (let attempt = 1; ; attempt += 1) {
      const known = reusable(whose.key);
      const entry = known ?? (await introduceUser(whose, except));
      try {
        return await use(entry, call);
      } catch (error) {
        const isLost = isHomeLost(entry, error) && users.isOpen;
        // Void from the start is for good; one that others use too may have been ended by them meanwhile.
        const isVoid = voidReasons.has(reasonOf(error)) && (known !== undefined || !entry.gift.isLive);
        const isWorthIt = isLost || isVoid;
        if (!isWorthIt || attempt === attemptsMax) throw error;
        if (isLost) except = entry.gift.value.instance;
        leave(whose.key, entry);
        if (isLost && attempt > 1) await new Promise<void>((resolve) => clock.after(connectMs * attempt, resolve));
      }
    }
  }

  /** Of the introduction, not of the call. */
  function isHomeLost({ gift }: Entry, error: unknown): boolean {
    return lostReasons.has(reasonOf(error)) || (hasCode(error, "unavailable") && !gift.isLive);
  }

  async function use<R>(entry: Entry, call: (user: Introduction<User>) => PromiseLike<R>): Promise<R> {
    const { gift } = entry;
    entry.uses += 1;
    try {
      if (!gift.isDeposited && undecided > undecidedMax) await gift.deposited();
      return await gift.answer(call(gift.value));
    } catch (error) {
      // For good: the login has ended, and what is kept of it serves nobody.
      if (reasonOf(error) === "revoked") gift[Symbol.dispose]();
      throw error;
    } finally {
      entry.uses -= 1;
      if (entry.isLeft && entry.uses === 0) gift[Symbol.dispose]();
    }
  }

  /** Not ended at once: others may be using it, and find out by themselves whether it still serves them. */
  function leave(key: string, entry: Entry): void {
    if (kept.get(key) === entry) kept.delete(key);
    entry.isLeft = true;
    if (entry.uses === 0) entry.gift[Symbol.dispose]();
  }

  function reusable(key: string): Entry | undefined {
    const entry = kept.get(key);
    if (!entry) return undefined;
    if (!entry.gift.isLive) {
      // The home was restarted, is away, or was out of reach meanwhile, and what was deposited there is gone; or it soon is.
      leave(key, entry);
      return undefined;
    }
    touch(key, entry);
    return entry;
  }

  function touch(key: string, entry: Entry): void {
    const nowMs = clock.monotonicMs();
    if (nowMs - entry.movedAtMs < moveMs) return;
    entry.movedAtMs = nowMs;
    kept.delete(key);
    kept.set(key, entry);
  }

  async function introduceUser(whose: Whose, except?: string): Promise<Entry> {
    const { key } = whose;
    const hosted = await whose.hosted(except);
    const other = reusable(key);
    if (other) return other;
    const entry: Entry = {
      gift: withOwnDeadline(() => deposit(key, hosted), clock),
      uses: 0,
      movedAtMs: clock.monotonicMs(),
      isLeft: false,
    };
    kept.set(key, entry);
    makeRoom();
    undecided += 1;
    const decided = () => {
      undecided -= 1;
    };
    entry.gift.deposited().then(decided, decided);
    return entry;
  }

  /** Others will use it too, so it has time of its own, and not what the first caller has left. */
  function deposit(key: string, hosted: Hosted): Gifted<User> {
    using user = hosted.user();
    const gift = introduce<User>(user, { from: hosted.from, to, clock, onEnd: () => forget(key, gift) });
    return gift;
  }

  /** Ends the longest unused; never one that a call is using, nor one that may prove to be no login at all. */
  function makeRoom(): void {
    if (kept.size <= entriesMax) return;
    let searched = 0;
    for (const { gift, uses } of kept.values()) {
      searched += 1;
      if (searched > searchedMax) return;
      if (uses > 0 || !gift.isDeposited) continue;
      gift[Symbol.dispose]();
      return;
    }
  }

  function forget(key: string, gift: Gifted<User>): void {
    if (kept.get(key)?.gift === gift) kept.delete(key);
  }
}
