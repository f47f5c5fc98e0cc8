import type { Cancel, Clock } from "../base/clock.ts";
import { inTime } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Directory } from "../discovery/directory.ts";
import { type Breaker, type BreakerState, makeBreaker } from "../resilience/breaker.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import type { Connection } from "./connection.ts";

/** How one instance is doing, for metrics and for people. */
export interface InstanceReport {
  readonly name: string;
  readonly url: string;
  /** Its run; undefined while it is away, and on anonymous connections. */
  readonly instance: string | undefined;
  readonly isOpen: boolean;
  /** Why it cannot be reached, in words; undefined while it can, and before anybody tried. */
  readonly away: string | undefined;
  /** It is stopping, or the directory names it no more. */
  readonly isLeaving: boolean;
  /** Calls that nobody has answered. */
  readonly underWay: number;
  /**
   * For how long it has been away, or has answered none of the calls that are under way; 0 while it answers, or has
   * nothing to answer. Milliseconds.
   */
  readonly silentMs: number;
  /** Calls that failed so that they count for its breakers, since it was first known. */
  readonly failures: number;
  /** Calls that it was sent although they had been sent before, there or elsewhere. */
  readonly repeated: number;
  /** Calls that it was not sent, because it refused many for overload. */
  readonly withheld: number;
  /** By group of calls. */
  readonly breakers: Readonly<Record<string, BreakerState>>;
}

/** One instance of a service, at one address. */
export interface Member<T extends RpcTarget> {
  readonly url: string;
  readonly connection: Connection<T>;
  /** Calls that nobody has answered. */
  readonly underWay: number;
  /** As of `InstanceReport`. */
  readonly silentMs: number;
  /** It has said, or shown, that it is stopping. */
  readonly isLeaving: boolean;
  /** Calls that failed so that they count for its breakers. */
  readonly failures: number;
  /** Calls that it was sent although they had been sent before. */
  readonly repeated: number;
  breakerOf(group: string): Breaker;
  breakers(): Record<string, BreakerState>;
  /** It has refused a call because it is stopping. */
  refused(): void;
  /** A call has begun, which is under way until `answer` is there. @returns `answer`. */
  awaits<R>(answer: PromiseLike<R>): PromiseLike<R>;
  /** It has answered a call, if only with a refusal of its own. */
  answered(): void;
  failed(): void;
  sentAgain(): void;
  /** Resolves when no call is under way. */
  idle(): Promise<void>;
}

/** @param open connects; is told what resolves when no call is under way there. */
export function makeMember<T extends RpcTarget>(
  url: string,
  clock: Clock,
  open: (idle: () => Promise<void>) => Connection<T>,
): Member<T> {
  const breakers = new Map<string, Breaker>();
  let underWay = 0;
  let silentSinceMs = 0;
  let failures = 0;
  let repeated = 0;
  let sessionNumber = 0;
  let hasRefused = false;
  let onIdle: (() => void)[] = [];
  const idle = () => (underWay === 0 ? Promise.resolve() : new Promise<void>((resolve) => void onIdle.push(resolve)));
  const connection = open(idle);

  return {
    url,
    connection,
    get underWay() {
      return underWay;
    },
    get silentMs() {
      if (!connection.isOpen) return connection.awayMs;
      return underWay === 0 ? 0 : clock.monotonicMs() - silentSinceMs;
    },
    get isLeaving() {
      renew();
      return hasRefused || connection.isLeaving;
    },
    get failures() {
      return failures;
    },
    get repeated() {
      return repeated;
    },
    breakerOf(group) {
      renew();
      const known = breakers.get(group);
      if (known) return known;
      const breaker = makeBreaker(clock);
      breakers.set(group, breaker);
      return breaker;
    },
    breakers() {
      renew();
      return Object.fromEntries([...breakers].map(([group, { state }]) => [group, state]));
    },
    refused() {
      hasRefused = true;
    },
    awaits(answer) {
      if (underWay === 0) answered();
      underWay += 1;
      answer.then(() => {
        leave();
        answered();
      }, leave);
      return answer;
    },
    answered,
    failed() {
      failures += 1;
    },
    sentAgain() {
      repeated += 1;
    },
    idle,
  };

  function answered(): void {
    silentSinceMs = clock.monotonicMs();
  }

  function leave(): void {
    underWay -= 1;
    if (underWay > 0) return;
    for (const tell of onIdle) tell();
    onIdle = [];
  }

  /** What is known of one session says nothing of the next. */
  function renew(): void {
    if (sessionNumber === connection.sessionNumber) return;
    sessionNumber = connection.sessionNumber;
    hasRefused = false;
    breakers.clear();
  }
}

/** The instances that a directory names now, and those it named before for as long as something is held there. */
export interface Members<T extends RpcTarget> {
  /** Those that may be asked. */
  readonly current: readonly Member<T>[];
  readonly all: readonly Member<T>[];
  /** From now on a connection is opened to each, so that there are several to choose from. Doing it again does nothing. */
  open(): void;
  /**
   * Resolves when the directory has answered, at once if it has; rejects with `unavailable` when that takes too long, for
   * who asked first, and at once for who comes later.
   */
  known(): Promise<void>;
  close(): void;
}

export interface MembersOptions<T extends RpcTarget> {
  readonly name: string;
  readonly directory: Directory;
  readonly clock: Clock;
  makeMember(url: string): Member<T>;
}

/** How often those that were taken out are looked at: whether the last capability is gone, theirs or ours. Milliseconds. */
const retiredCheckMs = 1_000;
/** A directory that has not answered by then is as good as down. Milliseconds. */
const knownMsMax = 5_000;

export function makeMembers<T extends RpcTarget>(options: MembersOptions<T>): Members<T> {
  const { name, directory, clock } = options;
  let current: readonly Member<T>[] = [];
  /** With the session that each had when it was taken out. */
  const retired = new Map<Member<T>, number>();
  let cancelCheck: Cancel | undefined;
  let isWanted = false;
  let isClosed = false;
  const first = Promise.withResolvers<void>();
  first.promise.catch(() => {});
  let cancelFirst: Cancel | undefined;
  const unwatch = directory.watch(onUrls);

  return {
    get current() {
      return current;
    },
    get all() {
      return retired.size === 0 ? current : [...current, ...retired.keys()];
    },
    open() {
      if (isWanted) return;
      isWanted = true;
      for (const { connection } of current) connection.opened().catch(() => {});
    },
    async known() {
      if (current.length > 0) return;
      cancelFirst ??= clock.after(knownMsMax, () => first.reject(notFound()));
      await inTime(first.promise, clock);
      if (isClosed) throw new FlotillaError("unavailable", `The connection to ${name} was closed`);
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      unwatch();
      cancelCheck?.();
      cancelFirst?.();
      first.resolve();
      for (const { connection } of [...current, ...retired.keys()]) connection.close();
    },
  };

  function onUrls(urls: readonly string[]): void {
    if (isClosed || urls.length === 0) return;
    const before = new Map([...current, ...retired.keys()].map((member) => [member.url, member]));
    const listed = [...new Set(urls)].map((url) => before.get(url) ?? options.makeMember(url));
    for (const member of listed) {
      retired.delete(member);
      // Proven before anything is asked of it: only what is open is chosen.
      if (isWanted && !before.has(member.url)) member.connection.opened().catch(() => {});
    }
    for (const member of current) {
      if (!listed.includes(member)) retired.set(member, member.connection.sessionNumber);
    }
    current = listed;
    cancelFirst?.();
    first.resolve();
    checkRetired();
  }

  /** No call goes to them any more; what is held of them is good until their session ends. */
  function checkRetired(): void {
    cancelCheck?.();
    for (const [member, sessionNumber] of retired) {
      const { connection, underWay } = member;
      const isSame = connection.isOpen && connection.sessionNumber === sessionNumber;
      const { imports, exports } = connection.stats();
      const isHeld = underWay > 0 || imports > 1 || exports > 1;
      if (isSame && isHeld) continue;
      retired.delete(member);
      connection.close();
    }
    cancelCheck = retired.size > 0 ? clock.after(retiredCheckMs, checkRetired) : undefined;
  }

  function notFound(): FlotillaError {
    return new FlotillaError("unavailable", `Nobody says where ${name} is`, { reason: "directory_unknown" });
  }
}
