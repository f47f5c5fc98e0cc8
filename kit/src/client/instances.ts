import { pause, systemClock } from "../base/clock.ts";
import { currentContext, inTime, withContext } from "../base/context.ts";
import { hasCode, reasonOf } from "../base/errors.ts";
import { checkedList, type Directory } from "../discovery/directory.ts";
import { type Backoff, backoffMs } from "../resilience/backoff.ts";
import { circuitOpenReason } from "../resilience/breaker.ts";
import { makeRetryBudget } from "../resilience/retry-budget.ts";
import { stoppingReason } from "../rpc/stopping.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { type Choice, choose } from "./choose.ts";
import { type ConnectOptions, connect } from "./connect.ts";
import type { Connection } from "./connection.ts";
import { isFailure, mayHelp } from "./failures.ts";
import { type InstanceReport, type Member, makeMember } from "./instance.ts";
import { makeMembers } from "./members.ts";
import { unreachable } from "./unreachable.ts";

/** What `connectAll` takes: `ConnectOptions` with several addresses, or who knows them. */
export type ConnectAllOptions = Omit<ConnectOptions, "url" | "onStopping"> &
  (
    | {
        /** Of every instance; each as `ConnectOptions.url`. */
        readonly urls: readonly string[];
      }
    | {
        /** Who knows where the instances are, while they come and go. */
        readonly directory: Directory;
      }
  );

/** How one call of `Instances.call` may be treated. */
export interface CallOptions {
  /**
   * Whether the call may be sent again although nobody knows whether it was carried out: it only reads, or carries an
   * idempotency key. SECURITY: for the outermost caller alone; where each of three layers tries three times, the last is
   * asked 27 times.
   */
  readonly isRepeatable?: boolean;
  /**
   * For how long a repeatable call waits while no instance can be reached, or those that can are left alone because they
   * keep failing. Default: until its deadline. Milliseconds; 0 for who serves many, whose waiting calls would pile up.
   */
  readonly awayMsMax?: number;
  /** How often a repeatable call is sent at most. Default: until its deadline, or the end of the budget. */
  readonly attemptsMax?: number;
  /** A run that has turned out to be the wrong one: asked only if there is no other. */
  readonly except?: string | undefined;
  /**
   * Calls that fail together, such as those that write: while the calls of one group keep failing, those of others go
   * on. Default: one group for all calls that name none.
   */
  readonly group?: string;
}

/** What a call does with the instance that was chosen for it. */
export type Use<T extends RpcTarget, R> = (main: RpcStub<T>, connection: Connection<T>) => PromiseLike<R>;

/** One service, at as many addresses as it has instances; each of them comes and goes by itself. */
export interface Instances<T extends RpcTarget> extends Disposable {
  readonly name: string;
  /**
   * Runs `use` with the main object of an instance, and the connection to it: of two at random, the one with fewer calls
   * under way. What an instance refuses because it is stopping is sent to another, for it was not begun, as is what
   * could not be sent because its instance cannot be reached; so of several calls that `use` makes, one after the other,
   * only the last may change anything.
   *
   * @throws FlotillaError what `use` throws; `unavailable` when no instance can be reached, with reason `circuit_open`
   *   and `retryAfterMs` when those that can keep failing, or `directory_unknown` when nobody has said where they are.
   */
  call<R>(use: Use<T, R>, options?: CallOptions): Promise<R>;
  /**
   * The instance that `call` would ask, with `except` as there: for introducing, pipelining or keeping what it returns.
   * @throws FlotillaError `unavailable`, reason `directory_unknown`; after `opened` it does not.
   */
  pick(except?: string): Connection<T>;
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
  /**
   * Entries in the tables of all open sessions, 1 and 1 for each when nothing is held; sessions; calls that are under way,
   * those that were sent again, and those that the budget of retries did not let be sent again.
   */
  stats(): {
    imports: number;
    exports: number;
    open: number;
    underWay: number;
    repeated: number;
    notRepeated: number;
  };
  /** How each instance stands. */
  report(): InstanceReport[];
  /** Ends all sessions, and with them what was obtained over them; calls reject with `unavailable` from then on. */
  close(): void;
}

/** What became of one call of `Instances.call`. */
interface Sent {
  /** As of `CallOptions`. */
  readonly group: string;
  /** It was, at least once. */
  before: boolean;
  /** It was since the budget of retries was asked. */
  isOwed: boolean;
}

/** Between two attempts of a call that may be repeated. */
const backoff: Backoff = { minMs: 20, maxMs: 500, growth: 2 };

/**
 * Connects to all instances of a service, lazily; the caller owns what is returned, and closes it. Calls go to the less
 * busy of two, and past those that are away, stopping, or failing; a capability stays with the instance that hosts it. An
 * instance that the directory names is asked once it has proven who it is; one that it names no more gets no new calls,
 * and is let go of when nothing is held there, on either side.
 *
 * @throws TypeError for no `urls` or more than 128, and as `connect` does.
 */
export function connectAll<T extends RpcTarget>(options: ConnectAllOptions): Instances<T> {
  const { name, clock = systemClock, random = Math.random } = options;
  const directory = "directory" in options ? options.directory : checkedList(options.urls);
  const budget = makeRetryBudget(clock);
  let isClosed = false;
  let repeated = 0;
  const members = makeMembers<T>({
    name,
    directory,
    clock,
    makeMember: (url) =>
      makeMember(url, clock, (idle) => connect<T>({ ...options, url, onStopping: () => turnAway(idle) })),
  });
  const hasOpen = () => members.current.some(({ connection }) => connection.isOpen);
  const openMembers = () => members.current.filter(({ connection }) => connection.isOpen);

  return {
    name,
    call(use, callOptions = {}) {
      const sent: Sent = { group: callOptions.group ?? "", before: false, isOwed: false };
      const call = () => (callOptions.isRepeatable ? callAgain(use, callOptions, sent) : begin(use, callOptions, sent));
      // One deadline for all that is waited for and tried.
      return currentContext() ? call() : withContext({}, call, clock);
    },
    pick: (except) => choice({ group: "", except }).connection,
    at: (instance) => members.all.find(({ connection }) => connection.instance === instance)?.connection,
    get isOpen() {
      return hasOpen();
    },
    get openCount() {
      return openMembers().length;
    },
    opened,
    isAnonymous: options.as === undefined,
    stats() {
      const all = members.all.map((it) => ({ ...it.connection.stats(), underWay: it.underWay }));
      const sum = (of: keyof (typeof all)[number]) => all.reduce((total, it) => total + it[of], 0);
      const now = { imports: sum("imports"), exports: sum("exports"), underWay: sum("underWay") };
      return { ...now, open: openMembers().length, repeated, notRepeated: budget.refused };
    },
    report: () => members.all.map(reportOf),
    close,
    [Symbol.dispose]: close,
  };

  function close(): void {
    isClosed = true;
    members.close();
  }

  async function opened(): Promise<void> {
    members.open();
    await members.known();
    if (hasOpen()) return;
    const attempts = members.current.map(({ connection }) => connection.opened());
    await Promise.any(attempts).catch((thrown: AggregateError) => {
      throw thrown.errors[0];
    });
  }

  /** One is stopping: another that has just come back is not left waiting for its next attempt. */
  function turnAway(idle: () => Promise<void>): Promise<void> {
    for (const { connection } of members.current) connection.retry();
    return idle();
  }

  function reportOf(member: Member<T>): InstanceReport {
    const { url, connection, underWay, silentMs, failures, repeated } = member;
    const { instance, isOpen, away, withheld } = connection;
    const isLeaving = member.isLeaving || !members.current.includes(member);
    const counts = { underWay, silentMs, failures, repeated, withheld };
    return { name, url, instance, isOpen, away: away?.message, isLeaving, ...counts, breakers: member.breakers() };
  }

  function choice(how: Omit<Choice<T>, "random">): Member<T> {
    members.open();
    const chosen = choose(members.current, { ...how, random });
    if (!chosen) throw unreachable(name, { text: "nobody says where it is", reason: "directory_unknown" });
    return chosen;
  }

  function begin<R>(use: Use<T, R>, options: CallOptions, sent: Sent): Promise<R> {
    const callNow = () => callOnce(use, options, sent);
    if (members.current.length === 1 || hasOpen()) return callNow();
    // The first that opens, and not the one that chance would have wait for.
    return inTime(opened(), clock).then(callNow, (error: unknown) => {
      if (members.current.length === 0 || !mayHelp(error)) throw error;
      return callNow();
    });
  }

  async function callOnce<R>(use: Use<T, R>, { except }: CallOptions, sent: Sent): Promise<R> {
    let askedInVain: Set<Member<T>> | undefined;
    for (;;) {
      const member = choice({ group: sent.group, askedInVain, except });
      const { isOpen, sessionNumber } = member.connection;
      try {
        return await ask(member, use, sent);
      } catch (error) {
        // No session was opened for it: nothing was sent.
        const isUnsent = !isOpen && member.connection.sessionNumber === sessionNumber && mayHelp(error);
        const isRefused = reasonOf(error) === stoppingReason;
        if (isRefused) member.refused();
        const asked = new Set(askedInVain).add(member);
        askedInVain = asked;
        const others = members.current.filter((other) => !asked.has(other));
        if (!others.some(({ connection }) => isUnsent || (isRefused && connection.isOpen))) throw error;
      }
    }
  }

  function ask<R>(member: Member<T>, use: Use<T, R>, sent: Sent): PromiseLike<R> {
    const { connection } = member;
    if (!connection.isOpen) return askAway(member, use, sent);
    const { sessionNumber } = connection;
    const send = () => {
      note(sent, member);
      return use(connection.main, connection);
    };
    const hasFailed = (error: unknown) => {
      if (!mayHelp(error) && !hasCode(error, "deadline_exceeded")) member.answered();
      // A session that ends is the connection's to mend, and tells nothing of the next one.
      if (!connection.isOpen || connection.sessionNumber !== sessionNumber || !isFailure(error)) return false;
      member.failed();
      return true;
    };
    return member.awaits(member.breakerOf(sent.group).run(send, { name, isFailure: hasFailed }));
  }

  async function askAway<R>(member: Member<T>, use: Use<T, R>, sent: Sent): Promise<R> {
    const { connection } = member;
    const { sessionNumber } = connection;
    try {
      return await use(connection.main, connection);
    } finally {
      if (connection.sessionNumber !== sessionNumber) note(sent, member);
    }
  }

  /** It is sent, or was. */
  function note(sent: Sent, member: Member<T>): void {
    if (sent.before) {
      member.sentAgain();
      repeated += 1;
    }
    sent.before = sent.isOwed = true;
  }

  async function callAgain<R>(use: Use<T, R>, options: CallOptions, sent: Sent): Promise<R> {
    const endMs = currentContext()!.deadlineAtMs;
    const awayUntilMs = clock.monotonicMs() + (options.awayMsMax ?? Number.POSITIVE_INFINITY);
    const { attemptsMax = Number.POSITIVE_INFINITY } = options;
    budget.earn();
    let said: unknown;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await begin(use, options, sent);
      } catch (error) {
        const isHeldBack = reasonOf(error) === circuitOpenReason;
        // What the service itself said tells more.
        if (!isHeldBack || said === undefined) said = error;
        const waitMs = backoffMs(attempt, backoff, random);
        const nextMs = clock.monotonicMs() + waitMs;
        if (isClosed || !mayHelp(error) || nextMs >= endMs || attempt + 1 >= attemptsMax) throw said;
        if ((isHeldBack || !hasOpen()) && nextMs >= awayUntilMs) throw said;
        await pause(clock, waitMs);
        if (isClosed) throw unreachable(name, { text: "the connection was closed" });
        // One that is away costs nobody anything: only what is sent counts.
        if (!sent.isOwed || !hasOpen()) continue;
        if (!budget.take()) throw said;
        sent.isOwed = false;
      }
    }
  }
}
