import type { RpcStub, RpcTarget } from "capnweb";
import { pause, systemClock } from "../base/clock.ts";
import { currentContext, withContext } from "../base/context.ts";
import { hasCode, reasonOf } from "../base/errors.ts";
import { type ConnectOptions, connect } from "./connect.ts";
import { type Directory, instancesMax, listDirectory } from "./directory.ts";
import { type InstanceReport, type Member, makeMember, makeMembers } from "./members.ts";
import type { Connection } from "./reconnect.ts";
import { makeRetryBudget } from "./retry-budget.ts";
import { addressOf } from "./service-url.ts";
import { stoppingReason } from "./stopping.ts";
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
   * For how long a repeatable call waits while no instance can be reached. Default: until its deadline. Milliseconds; 0
   * for who serves many, whose waiting calls would pile up.
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
   * The instance that `call` would ask: for who introduces what it gets there, pipelines, or keeps a capability.
   * @param except as of `CallOptions`.
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

/** Between two attempts of a call that may be repeated: at first, and at most. Milliseconds. */
const retryMsMin = 20;
const retryMsMax = 500;

/**
 * Connects to all instances of a service, lazily; the caller owns what is returned, and closes it. Calls go to the less
 * busy of two (Mitzenmacher's "power of two choices"), and past those that are away, stopping, or failing; a capability
 * stays with the instance that hosts it. An instance that the directory names is asked once it has proven who it is; one
 * that it names no more gets no new calls, and is let go of when nothing is held there.
 *
 * @throws TypeError for no `urls` or more than 128, and as `connect` does.
 */
export function connectAll<T extends RpcTarget>(options: ConnectAllOptions): Instances<T> {
  const { name, clock = systemClock, random = Math.random } = options;
  const directory = "directory" in options ? options.directory : listed(options.urls);
  const budget = makeRetryBudget(clock);
  let isClosed = false;
  const members = makeMembers<T>({
    name,
    directory,
    clock,
    makeMember: (url) =>
      makeMember(url, clock, (idle) => connect<T>({ ...options, url, onStopping: () => turnAway(idle) })),
  });
  const openMembers = () => members.current.filter(({ connection }) => connection.isOpen);

  return {
    name,
    call(use, callOptions = {}) {
      const call = () => (callOptions.isRepeatable ? callAgain(use, callOptions) : begin(use, callOptions));
      // One deadline for all that is waited for and tried.
      return currentContext() ? call() : withContext({}, call, clock);
    },
    pick: (except) => choose("", undefined, except).connection,
    at: (instance) => members.all.find(({ connection }) => connection.instance === instance)?.connection,
    get isOpen() {
      return openMembers().length > 0;
    },
    get openCount() {
      return openMembers().length;
    },
    async opened() {
      members.open();
      await members.known();
      if (openMembers().length > 0) return;
      const attempts = members.current.map(({ connection }) => connection.opened());
      await Promise.any(attempts).catch((thrown: AggregateError) => {
        throw thrown.errors[0];
      });
    },
    isAnonymous: options.as === undefined,
    stats() {
      const all = members.all.map((it) => ({ ...it.connection.stats(), underWay: it.underWay, repeated: it.repeated }));
      const sum = (of: keyof (typeof all)[number]) => all.reduce((total, it) => total + it[of], 0);
      const held = { imports: sum("imports"), exports: sum("exports") };
      const counts = { underWay: sum("underWay"), repeated: sum("repeated"), notRepeated: budget.refused };
      return { ...held, open: openMembers().length, ...counts };
    },
    report: () => members.all.map(reportOf),
    close,
    [Symbol.dispose]: close,
  };

  function close(): void {
    isClosed = true;
    members.close();
  }

  /** One is stopping: another that has just come back is not left waiting for its next attempt. */
  function turnAway(idle: () => Promise<void>): Promise<void> {
    for (const { connection } of members.current) connection.retry();
    return idle();
  }

  function reportOf(member: Member<T>): InstanceReport {
    const { url, connection, underWay, failures, repeated } = member;
    const { instance, isOpen, withheld } = connection;
    const isLeaving = member.isLeaving || !members.current.includes(member);
    const counts = { underWay, failures, repeated, withheld };
    return { name, url, instance, isOpen, isLeaving, ...counts, breakers: member.breakers() };
  }

  /** @param askedInVain those that this call need not be sent to again. */
  function choose(group: string, askedInVain?: ReadonlySet<Member<T>>, except?: string): Member<T> {
    const { current } = members;
    members.open();
    const asked = askedInVain ? current.filter((member) => !askedInVain.has(member)) : current;
    const open = asked.filter(({ connection }) => connection.isOpen);
    const staying = open.filter(({ isLeaving }) => !isLeaving);
    const healthy = staying.filter((member) => member.breakerOf(group).mayPass());
    const others = except === undefined ? [] : healthy.filter(({ connection }) => connection.instance !== except);
    // Never the last one: what fails is still better to ask than nobody. Its breaker lets through what it bears.
    const best = [others, healthy, staying, open, asked, current].find(({ length }) => length > 0);
    if (!best) throw unreachable(name, { text: "nobody says where it is", reason: "directory_unknown" });
    return lessBusy(best);
  }

  function lessBusy(from: readonly Member<T>[]): Member<T> {
    const first = Math.floor(random() * from.length);
    if (from.length === 1) return from[0]!;
    const second = (first + 1 + Math.floor(random() * (from.length - 1))) % from.length;
    const [a, b] = [from[first]!, from[second]!];
    return b.underWay < a.underWay ? b : a;
  }

  function begin<R>(use: Use<T, R>, options: CallOptions, isAgain = false): Promise<R> {
    const callNow = () => callOnce(use, options, isAgain);
    return members.current.length > 0 ? callNow() : members.known().then(callNow);
  }

  async function callOnce<R>(use: Use<T, R>, { group = "", except }: CallOptions, isAgain: boolean): Promise<R> {
    const askedInVain = new Set<Member<T>>();
    for (let wasSent = isAgain; ; ) {
      const member = choose(group, askedInVain, except);
      const { isOpen, sessionNumber } = member.connection;
      // One that is away is sent nothing.
      if (wasSent && isOpen) member.sentAgain();
      try {
        return await ask(member, use, group);
      } catch (error) {
        // No session was opened for it: nothing was sent.
        const isUnsent = !isOpen && member.connection.sessionNumber === sessionNumber && mayHelp(error);
        const isRefused = reasonOf(error) === stoppingReason;
        if (isRefused) member.refused();
        wasSent ||= isRefused;
        askedInVain.add(member);
        const others = members.current.filter((other) => !askedInVain.has(other));
        if (!others.some(({ connection }) => isUnsent || (isRefused && connection.isOpen))) throw error;
      }
    }
  }

  async function ask<R>(member: Member<T>, use: Use<T, R>, group: string): Promise<R> {
    const { connection } = member;
    if (!connection.isOpen) return await use(connection.main, connection);
    const { sessionNumber } = connection;
    const leave = member.enter();
    try {
      return await member.breakerOf(group).run(() => use(connection.main, connection), {
        name,
        isFailure(error) {
          // A session that ends is the connection's to mend, and tells nothing of the next one.
          if (!connection.isOpen || connection.sessionNumber !== sessionNumber || !isFailure(error)) return false;
          member.failed();
          return true;
        },
      });
    } finally {
      leave();
    }
  }

  async function callAgain<R>(use: Use<T, R>, options: CallOptions): Promise<R> {
    const endMs = currentContext()!.deadlineAtMs;
    const awayUntilMs = clock.monotonicMs() + (options.awayMsMax ?? Number.POSITIVE_INFINITY);
    const { attemptsMax = Number.POSITIVE_INFINITY } = options;
    budget.earn();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await begin(use, options, attempt > 0);
      } catch (error) {
        const waitMs = Math.min(retryMsMin * 2 ** attempt, retryMsMax) * (0.5 + random() / 2);
        const nextMs = clock.monotonicMs() + waitMs;
        if (isClosed || !mayHelp(error) || nextMs >= endMs || attempt + 1 >= attemptsMax) throw error;
        if (openMembers().length === 0 && nextMs >= awayUntilMs) throw error;
        await pause(clock, waitMs);
        if (isClosed) throw unreachable(name, { text: "the connection was closed" });
        // One that is away costs nobody anything: only what is sent counts.
        if (openMembers().length > 0 && !budget.take()) throw error;
      }
    }
  }
}

/** @throws TypeError for none, too many, or what is no address. */
function listed(urls: readonly string[]): Directory {
  if (urls.length === 0) throw new TypeError("urls names no instance");
  if (urls.length > instancesMax) throw new TypeError(`urls names more than ${instancesMax} instances`);
  for (const url of urls) addressOf(url);
  return listDirectory(urls);
}

/** Said of the capability that a call brought: neither of the service, nor is it another at the next attempt. */
const reasonsOfCalls: ReadonlySet<string | undefined> = new Set(["home_restarted", "home_unreachable"]);

/**
 * SECURITY: nothing that a caller can bring about counts, or one of them could open the circuit for all: neither
 * `deadline_exceeded`, whose deadline is the caller's, nor `internal`, which a single odd request may cause. A service that
 * hangs is noticed by its heartbeat.
 */
function isFailure(error: unknown): boolean {
  return mayHelp(error) && reasonOf(error) !== stoppingReason;
}

/** Whether another attempt, or another instance, may bring another answer. */
function mayHelp(error: unknown): boolean {
  return hasCode(error, "unavailable") && !reasonsOfCalls.has(reasonOf(error));
}
