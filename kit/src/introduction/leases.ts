import type { Clock } from "../base/clock.ts";
import { withOwnDeadline } from "../base/context.ts";
import { afterTurn } from "../base/platform.ts";
import { caretakerOf, conditionsOf, endsAt, type Revocation } from "../capability/conditions.ts";
import { contract } from "../capability/contract.ts";
import type { LeasePort } from "../capability/env.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { Handle } from "./handle.ts";

/** How a home leases its standing answers. */
export interface LeaseOptions {
  /**
   * For how long an answer counts at most when its home says nothing. Milliseconds, at most 2,000. A run with a shorter time
   * than the one before has to start that much later.
   */
  readonly lifetimeMs: number;
  /**
   * Whether others change what the answers say, who cannot be told of here: other instances on the same store. Then every
   * change waits for `lifetimeMs`, at every one of them.
   */
  readonly isShared?: boolean;
}

/** A recipient passes one to its home, to hear when the answers that it keeps no longer count. */
export interface LeaseHolder extends RpcTarget {
  /** Answered when nothing that was kept before is used any more. */
  recall(): void;
}

export const LeaseHolderContract = contract<LeaseHolder>("LeaseHolder", { recall: { params: [] } });

/** The name of the method by which an implementation says when its standing answers end by themselves. */
export const standsUntil: unique symbol = Symbol("flotilla.standsUntil");

/** An implementation whose standing answers end by themselves, which no condition says: with a login that is idle, say. */
export interface StandsUntil {
  /** Milliseconds since the epoch, as far as is known; asked after each answer. */
  [standsUntil](): number;
}

/** A log-out waits for the slowest recipient, but no longer. */
export const leaseMsMax = 2_000;

/**
 * The home's side of leases: it vouches for a standing answer until it takes it back, or until its time is over. After Gray
 * and Cheriton, "Leases", 1989.
 *
 * A recipient counts from when it asked, and the home from when it began to answer, so that the recipient's time is over
 * first. Both count on clocks that only grow, and that go equally fast.
 */
export interface Leases {
  /** For one session. */
  join(): { readonly leases: LeasePort; takeLeases(holder: RpcStub<RpcTarget>): RpcTarget };
  recall(): Promise<void>;
}

export function makeLeases(clock: Clock, { lifetimeMs, isShared = false }: LeaseOptions): Leases {
  if (!(lifetimeMs > 0 && lifetimeMs <= leaseMsMax)) {
    throw new TypeError(`A lease lasts 1 to ${leaseMsMax} ms, not ${lifetimeMs}`);
  }
  /** Those to whom something is promised, of sessions that are over too: they may not know yet. */
  const promised = new Set<Holder>();
  /** Revocations that end what was promised, and until when that is. */
  const watched = new Map<Revocation, number>();
  /** An earlier run of the service may have promised something until then; known since the first session of this one. */
  let inheritedUntilMs: number | undefined;
  let recalling: Promise<void> | undefined;

  return {
    join() {
      inherit();
      const holders = new Set<Holder>();
      return {
        leases: {
          begin() {
            const untilMs = clock.monotonicMs() + lifetimeMs;
            for (const holder of holders) {
              holder.untilMs = untilMs;
              promised.add(holder);
            }
            return holders.size > 0;
          },
          lifetimeMs: leasableMs,
        },
        takeLeases(stub) {
          const holder = new Holder(stub.dup() as RpcStub<LeaseHolder>, clock);
          holders.add(holder);
          return new Handle(() => {
            holders.delete(holder);
            holder[Symbol.dispose]();
            void passed(holder.untilMs).then(() => promised.delete(holder));
          });
        },
      };
    },
    recall,
  };

  /** One for all that was changed in this turn. */
  function recall(): Promise<void> {
    recalling ??= new Promise<void>((resolve) => afterTurn(resolve)).then(() => {
      recalling = undefined;
      return recallAll();
    });
    return recalling;
  }

  async function recallAll(): Promise<void> {
    const nowMs = clock.monotonicMs();
    const waits = [passed(isShared ? nowMs + lifetimeMs : inherit())];
    for (const holder of promised) {
      if (holder.untilMs > nowMs) waits.push(Promise.race([holder.hasHeard(), passed(holder.untilMs)]));
      else promised.delete(holder);
    }
    await Promise.all(waits);
  }

  function inherit(): number {
    inheritedUntilMs ??= clock.monotonicMs() + lifetimeMs;
    return inheritedUntilMs;
  }

  function leasableMs(implementation: object): number {
    const caretaker = caretakerOf(implementation);
    const conditions = conditionsOf(implementation);
    // Nobody would tell this home of a change elsewhere; and what counts calls has to see each.
    if (caretaker?.isRemote || conditions.some(({ began }) => began)) return 0;
    for (const { revocation } of conditions) if (revocation) watch(revocation);
    const endMs = Math.min(ownEndMs(implementation), endsAt(implementation) ?? Number.POSITIVE_INFINITY);
    return Math.max(0, Math.floor(Math.min(lifetimeMs, endMs - clock.now())));
  }

  /** Takes everything back when it is revoked within the lease; whoever revokes waits for `recall` by itself. */
  function watch(revocation: Revocation): void {
    const isWatched = watched.has(revocation);
    watched.set(revocation, clock.monotonicMs() + lifetimeMs);
    if (isWatched) return;
    const cancel = revocation.onRevoked(() => void recall());
    const look = () => {
      const leftMs = watched.get(revocation)! - clock.monotonicMs();
      if (leftMs > 0) clock.after(leftMs, look);
      else {
        watched.delete(revocation);
        cancel();
      }
    };
    clock.after(lifetimeMs, look);
  }

  /** Timers may be early by a part of a millisecond. */
  async function passed(atMs: number): Promise<void> {
    for (let leftMs = atMs - clock.monotonicMs(); leftMs > 0; leftMs = atMs - clock.monotonicMs()) {
      const waitMs = Math.ceil(leftMs);
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
    }
  }
}

/** When the standing answers of an implementation end by themselves, in milliseconds since the epoch. */
function ownEndMs(implementation: object): number {
  let object = implementation;
  for (let next = caretakerOf(object); next; next = caretakerOf(object)) object = next.target;
  return standsUntil in object ? (object as StandsUntil)[standsUntil]() : Number.POSITIVE_INFINITY;
}

/** Somebody who keeps answers. Disposing it ends its stub. */
class Holder implements Disposable {
  /** On `Clock.monotonicMs`: nothing of what it was told counts then. */
  untilMs = 0;
  readonly #stub: RpcStub<LeaseHolder>;
  readonly #clock: Clock;
  #telling: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;

  constructor(stub: RpcStub<LeaseHolder>, clock: Clock) {
    this.#stub = stub;
    this.#clock = clock;
  }

  /** Resolves when it has let go of all that it was told until now; never if it cannot be told. */
  async hasHeard(): Promise<void> {
    if (!(await this.#tell())) await new Promise(() => {});
  }

  /** One at a time, and one for all that come meanwhile: the one under way says nothing of what changed since it left. */
  #tell(): Promise<boolean> {
    if (!this.#telling) {
      this.#telling = this.#send();
      return this.#telling;
    }
    this.#next ??= this.#telling.then(() => {
      this.#next = undefined;
      return this.#tell();
    });
    return this.#next;
  }

  async #send(): Promise<boolean> {
    using told = withOwnDeadline(() => this.#stub.recall(), this.#clock);
    try {
      await told;
      return true;
    } catch {
      return false;
    } finally {
      this.#telling = undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#stub[Symbol.dispose]();
  }
}
