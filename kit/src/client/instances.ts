import { systemClock } from "../base/clock.ts";
import { checkedList, type Directory } from "../discovery/directory.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { Caller, type CallOptions, type Use } from "./caller.ts";
import { type ConnectOptions, connect } from "./connect.ts";
import type { Connection } from "./connection.ts";
import { type InstanceReport, type Member, makeMember } from "./instance.ts";
import { type Members, makeMembers } from "./members.ts";

/** Options of `connectAll`: `ConnectOptions` with several addresses, or who knows them. */
export type ConnectAllOptions = Omit<ConnectOptions, "url" | "onStopping"> &
  (
    | {
        /** The address of every instance, each as `ConnectOptions.url`. */
        readonly urls: readonly string[];
      }
    | {
        /** Knows where the instances are, while they come and go. */
        readonly directory: Directory;
      }
  );

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

/**
 * Connects to all instances of a service, lazily; the caller owns what is returned, and closes it. Calls go to the less
 * busy of two, and past those that are away, stopping, or failing; a capability stays with the instance that hosts it. An
 * instance that the directory names is asked once it has proven who it is; one that it names no more gets no new calls,
 * and is let go of when nothing is held there, on either side.
 *
 * @throws TypeError for no `urls` or more than 128, and as `connect` does.
 */
export function connectAll<T extends RpcTarget>(options: ConnectAllOptions): Instances<T> {
  return new AllInstances<T>(options);
}

class AllInstances<T extends RpcTarget> implements Instances<T> {
  readonly name: string;
  readonly isAnonymous: boolean;
  readonly #members: Members<T>;
  readonly #caller: Caller<T>;

  constructor(options: ConnectAllOptions) {
    const { name, clock = systemClock, random = Math.random } = options;
    this.name = name;
    this.isAnonymous = options.as === undefined;
    const onStopping = (idle: () => Promise<void>) => () => this.#turnAway(idle);
    this.#members = makeMembers<T>({
      name,
      directory: "directory" in options ? options.directory : checkedList(options.urls),
      clock,
      makeMember: (url) =>
        makeMember(url, clock, (idle) => connect<T>({ ...options, url, onStopping: onStopping(idle) })),
    });
    const opened = () => this.opened();
    this.#caller = new Caller({ name, clock, random, members: this.#members, opened });
  }

  call<R>(use: Use<T, R>, options: CallOptions = {}): Promise<R> {
    return this.#caller.call(use, options);
  }

  pick(except?: string): Connection<T> {
    return this.#caller.choose({ group: "", except }).connection;
  }

  at(instance: string): Connection<T> | undefined {
    return this.#members.all.find(({ connection }) => connection.instance === instance)?.connection;
  }

  get isOpen(): boolean {
    return this.openCount > 0;
  }

  get openCount(): number {
    return this.#members.current.filter(({ connection }) => connection.isOpen).length;
  }

  async opened(): Promise<void> {
    this.#members.open();
    await this.#members.known();
    if (this.isOpen) return;
    const attempts = this.#members.current.map(({ connection }) => connection.opened());
    await Promise.any(attempts).catch((thrown: AggregateError) => {
      throw thrown.errors[0];
    });
  }

  stats(): ReturnType<Instances<T>["stats"]> {
    const all = this.#members.all.map((it) => ({ ...it.connection.stats(), underWay: it.underWay }));
    const sum = (of: keyof (typeof all)[number]) => all.reduce((total, it) => total + it[of], 0);
    const now = { imports: sum("imports"), exports: sum("exports"), underWay: sum("underWay") };
    return { ...now, open: this.openCount, repeated: this.#caller.repeated, notRepeated: this.#caller.notRepeated };
  }

  report(): InstanceReport[] {
    return this.#members.all.map((member) => this.#reportOf(member));
  }

  close(): void {
    this.#caller.close();
    this.#members.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** One is stopping: another that has just come back is not left waiting for its next attempt. */
  #turnAway(idle: () => Promise<void>): Promise<void> {
    for (const { connection } of this.#members.current) connection.retry();
    return idle();
  }

  #reportOf(member: Member<T>): InstanceReport {
    const { url, connection, underWay, silentMs, failures, repeated } = member;
    const { instance, isOpen, away, withheld } = connection;
    const isLeaving = member.isLeaving || !this.#members.current.includes(member);
    const counts = { underWay, silentMs, failures, repeated, withheld };
    const { name } = this;
    return { name, url, instance, isOpen, away: away?.message, isLeaving, ...counts, breakers: member.breakers() };
  }
}
