import type { Cancel, Clock } from "../base/clock.ts";
import { inTime } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Directory } from "../discovery/directory.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import type { Member } from "./instance.ts";

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
  const retired = new Retired<T>(clock);
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
      return retired.isEmpty ? current : [...current, ...retired.members];
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
      cancelFirst?.();
      first.resolve();
      for (const { connection } of current) connection.close();
      retired.close();
    },
  };

  function onUrls(urls: readonly string[]): void {
    if (isClosed || urls.length === 0) return;
    const before = new Map([...current, ...retired.members].map((member) => [member.url, member]));
    const listed = [...new Set(urls)].map((url) => before.get(url) ?? options.makeMember(url));
    for (const member of listed) {
      retired.takeBack(member);
      // Proven before anything is asked of it: only what is open is chosen.
      if (isWanted && !before.has(member.url)) member.connection.opened().catch(() => {});
    }
    for (const member of current) {
      if (!listed.includes(member)) retired.add(member);
    }
    current = listed;
    cancelFirst?.();
    first.resolve();
    retired.check();
  }

  function notFound(): FlotillaError {
    return new FlotillaError("unavailable", `Nobody says where ${name} is`, { reason: "directory_unknown" });
  }
}

/** Instances that the directory names no more. No call goes to them; what is held of them is good until their session ends. */
class Retired<T extends RpcTarget> {
  /** With the session that each had when it was taken out. */
  readonly #sessions = new Map<Member<T>, number>();
  readonly #clock: Clock;
  #cancelCheck: Cancel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#sessions.size === 0;
  }

  get members(): Iterable<Member<T>> {
    return this.#sessions.keys();
  }

  add(member: Member<T>): void {
    this.#sessions.set(member, member.connection.sessionNumber);
  }

  takeBack(member: Member<T>): void {
    this.#sessions.delete(member);
  }

  /** Closes those of which nothing is held, now and from time to time. */
  check(): void {
    this.#cancelCheck?.();
    for (const [member, sessionNumber] of this.#sessions) {
      if (isHeld(member, sessionNumber)) continue;
      this.#sessions.delete(member);
      member.connection.close();
    }
    this.#cancelCheck = this.isEmpty ? undefined : this.#clock.after(retiredCheckMs, () => this.check());
  }

  close(): void {
    this.#cancelCheck?.();
    for (const { connection } of this.members) connection.close();
  }
}

function isHeld<T extends RpcTarget>({ connection, underWay }: Member<T>, sessionNumber: number): boolean {
  if (!connection.isOpen || connection.sessionNumber !== sessionNumber) return false;
  const { imports, exports } = connection.stats();
  return underWay > 0 || imports > 1 || exports > 1;
}
