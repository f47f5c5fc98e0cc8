import type { RpcStub, RpcTarget } from "capnweb";
import { systemClock } from "../base/clock.ts";
import { currentContext } from "../base/context.ts";
import { hasCode, reasonOf } from "../base/errors.ts";
import { deadlineMsDefault } from "../base/limits.ts";
import { type Breaker, makeBreaker } from "./breaker.ts";
import { type ConnectOptions, connect } from "./connect.ts";
import type { Connection } from "./reconnect.ts";
import { makeRetryBudget } from "./retry-budget.ts";
import { stoppingReason } from "./stopping.ts";
import { unreachable } from "./unreachable.ts";

/** What `connectAll` takes: `ConnectOptions` with several addresses. */
export interface ConnectAllOptions extends Omit<ConnectOptions, "url"> {
  /** Of every instance; each as `ConnectOptions.url`. */
  readonly urls: readonly string[];
}

/** How one call of `Instances.call` may be treated. */
export interface CallOptions {
  /**
   * Whether the call may be sent again although nobody knows whether it was carried out: it only reads, or carries an
   * idempotency key. SECURITY: for the outermost caller alone; where each of three layers tries three times, the last is
   * asked 27 times.
   */
  readonly isRepeatable?: boolean;
  /**
   * Calls that fail together, such as those that write: while the calls of one group keep failing, those of others go
   * on. Default: one group for all calls that name none.
   */
  readonly group?: string;
}

/** One service, at as many addresses as it has instances; each of them comes and goes by itself. */
export interface Instances<T extends RpcTarget> extends Disposable {
  readonly name: string;
  /**
   * Runs `use` with the main object of an instance: of two at random, the one with fewer calls under way. What an
   * instance refuses because it is stopping is sent to another, for it was not begun.
   *
   * @throws FlotillaError what `use` throws; `unavailable` when no instance can be reached, with reason `circuit_open`
   *   and `retryAfterMs` when those that can keep failing.
   */
  call<R>(use: (main: RpcStub<T>) => PromiseLike<R>, options?: CallOptions): Promise<R>;
  /** The instance that `call` would ask: for who introduces what it gets there, or pipelines. */
  pick(): Connection<T>;
  /** The connection to that run of the service, if there is one. Borrowed, as what `pick` returns is. */
  at(instance: string): Connection<T> | undefined;
  /** Whether at least one can be asked now. */
  readonly isOpen: boolean;
  /** How many can. */
  readonly openCount: number;
  /** Resolves when one can be asked. Rejects with `unavailable` when all are away. */
  opened(): Promise<void>;
  /** Whether connections were made without `as`. */
  readonly isAnonymous: boolean;
  /** Entries in the tables of all open sessions; 1 and 1 for each when nothing is held. */
  stats(): { imports: number; exports: number };
  /** Ends all sessions, and with them what was obtained over them; calls reject with `unavailable` from then on. */
  close(): void;
}

type Use<T extends RpcTarget, R> = (main: RpcStub<T>) => PromiseLike<R>;

interface Member<T extends RpcTarget> {
  readonly connection: Connection<T>;
  underWay: number;
  /** By group, of its session: another has not failed yet. */
  readonly breakers: Map<string, Breaker>;
  sessionNumber: number;
  /** It has said that it is stopping. */
  isLeaving: boolean;
}

/** Between two attempts of a call that may be repeated: at first, and at most. Milliseconds. */
const retryMsMin = 20;
const retryMsMax = 500;

/**
 * Connects to all instances of a service, lazily; the caller owns what is returned, and closes it. Calls go to the less
 * busy of two (Mitzenmacher's "power of two choices"), and past those that are away, stopping, or failing; a capability
 * stays with the instance that hosts it.
 *
 * @throws TypeError for no `urls`, and as `connect` does.
 */
export function connectAll<T extends RpcTarget>({ urls, ...options }: ConnectAllOptions): Instances<T> {
  if (urls.length === 0) throw new TypeError("urls names no instance");
  const { name, clock = systemClock, random = Math.random } = options;
  const members = urls.map((url): Member<T> => {
    const connection = connect<T>({ ...options, url });
    return { connection, underWay: 0, breakers: new Map(), sessionNumber: 0, isLeaving: false };
  });
  const budget = makeRetryBudget(clock);
  let isClosed = false;

  return {
    name,
    call: (use, { isRepeatable = false, group = "" } = {}) =>
      isRepeatable ? callAgain(use, group) : callOnce(use, group),
    pick: () => choose("").connection,
    at: (instance) => members.find(({ connection }) => connection.instance === instance)?.connection,
    get isOpen() {
      return members.some(({ connection }) => connection.isOpen);
    },
    get openCount() {
      return members.filter(({ connection }) => connection.isOpen).length;
    },
    async opened() {
      if (members.some(({ connection }) => connection.isOpen)) return;
      const attempts = members.map(({ connection }) => connection.opened());
      await Promise.any(attempts).catch((thrown: AggregateError) => {
        throw thrown.errors[0];
      });
    },
    isAnonymous: members[0]!.connection.isAnonymous,
    stats() {
      const all = members.map(({ connection }) => connection.stats());
      const sum = (of: "imports" | "exports") => all.reduce((total, it) => total + it[of], 0);
      return { imports: sum("imports"), exports: sum("exports") };
    },
    close,
    [Symbol.dispose]: close,
  };

  function close(): void {
    isClosed = true;
    for (const { connection } of members) connection.close();
  }

  /** @param except those that have refused this call. */
  function choose(group: string, except?: ReadonlySet<Member<T>>): Member<T> {
    const candidates = members.filter((member) => {
      renew(member);
      return !except?.has(member);
    });
    const open = candidates.filter(({ connection, isLeaving }) => connection.isOpen && !isLeaving);
    const healthy = open.filter((member) => breakerOf(member, group).mayPass());
    // Never the last one: what fails is still better to ask than nobody. Its breaker lets through what it bears.
    return lessBusy([healthy, open, candidates, members].find(({ length }) => length > 0)!);
  }

  /** What is known of one session says nothing of the next. */
  function renew(member: Member<T>): void {
    const { sessionNumber } = member.connection;
    if (member.sessionNumber === sessionNumber) return;
    member.sessionNumber = sessionNumber;
    member.isLeaving = false;
    member.breakers.clear();
  }

  function breakerOf({ breakers }: Member<T>, group: string): Breaker {
    let breaker = breakers.get(group);
    if (!breaker) {
      breaker = makeBreaker(clock);
      breakers.set(group, breaker);
    }
    return breaker;
  }

  function lessBusy(from: readonly Member<T>[]): Member<T> {
    const first = Math.floor(random() * from.length);
    if (from.length === 1) return from[0]!;
    const second = (first + 1 + Math.floor(random() * (from.length - 1))) % from.length;
    const [a, b] = [from[first]!, from[second]!];
    return b.underWay < a.underWay ? b : a;
  }

  async function callOnce<R>(use: Use<T, R>, group: string): Promise<R> {
    const refusedBy = new Set<Member<T>>();
    for (;;) {
      const member = choose(group, refusedBy);
      try {
        return await ask(member, use, group);
      } catch (error) {
        if (reasonOf(error) !== stoppingReason) throw error;
        member.isLeaving = true;
        refusedBy.add(member);
        if (!members.some((other) => !refusedBy.has(other) && other.connection.isOpen)) throw error;
      }
    }
  }

  async function ask<R>(member: Member<T>, use: Use<T, R>, group: string): Promise<R> {
    const { connection } = member;
    if (!connection.isOpen) return await use(connection.main);
    const { sessionNumber } = connection;
    member.underWay += 1;
    try {
      // A session that ends is the connection's to mend, and tells nothing of the next one.
      const isStillOpen = () => connection.isOpen && connection.sessionNumber === sessionNumber;
      return await breakerOf(member, group).run(() => use(connection.main), {
        name,
        isFailure: (e) => isStillOpen() && isFailure(e),
      });
    } finally {
      member.underWay -= 1;
    }
  }

  async function callAgain<R>(use: Use<T, R>, group: string): Promise<R> {
    const endMs = currentContext()?.deadlineAtMs ?? clock.monotonicMs() + deadlineMsDefault;
    budget.earn();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await callOnce(use, group);
      } catch (error) {
        const waitMs = Math.min(retryMsMin * 2 ** attempt, retryMsMax) * (0.5 + random() / 2);
        if (isClosed || !hasCode(error, "unavailable") || clock.monotonicMs() + waitMs >= endMs) throw error;
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
        if (isClosed) throw unreachable(name, { text: "the connection was closed" });
        // One that is away costs nobody anything: only what is sent counts.
        if (members.some(({ connection }) => connection.isOpen) && !budget.take()) throw error;
      }
    }
  }
}

/** Said of the capability that a call brought, or of the call: not of the service. */
const reasonsOfCalls: ReadonlySet<string | undefined> = new Set([stoppingReason, "home_restarted"]);

/**
 * SECURITY: nothing that a caller can bring about counts, or one of them could open the circuit for all: neither
 * `deadline_exceeded`, whose deadline is the caller's, nor `internal`, which a single odd request may cause. A service that
 * hangs is noticed by its heartbeat.
 */
function isFailure(error: unknown): boolean {
  return hasCode(error, "unavailable") && !reasonsOfCalls.has(reasonOf(error));
}
