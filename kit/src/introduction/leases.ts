import type { Clock } from "../base/clock.ts";
import { withOwnDeadline } from "../base/context.ts";
import { afterTurn } from "../base/platform.ts";
import { caretakerOf, endsAt, isCounted } from "../capability/conditions.ts";
import { contract } from "../capability/contract.ts";
import type { LeasePort } from "../capability/env.ts";
import { type RpcStub, RpcTarget } from "../rpc/stub.ts";

/** How a home leases its standing answers. */
export interface LeaseOptions {
  /** For how long an answer counts at most when its home says nothing. Milliseconds, at most 2,000. */
  readonly lifetimeMs: number;
  /**
   * Whether others change what the answers say, who cannot be told of here: other instances on the same store. Then every
   * change waits for `lifetimeMs`, at every one of them.
   */
  readonly isShared?: boolean;
}

/** What a recipient passes to its home to hear that what it keeps no longer counts. */
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
 * first. Both count on clocks that only grow.
 */
export interface Leases {
  /** For one session. */
  join(): { readonly leases: LeasePort; takeLeases(holder: RpcStub<RpcTarget>): RpcTarget };
  recall(): Promise<void>;
}

/** What one session may keep. */
interface Holder {
  readonly stub: RpcStub<LeaseHolder>;
  /** On `Clock.monotonicMs`: nothing of what it was told counts then. */
  untilMs: number;
}

export function makeLeases(clock: Clock, { lifetimeMs, isShared = false }: LeaseOptions): Leases {
  if (!(lifetimeMs > 0 && lifetimeMs <= leaseMsMax)) {
    throw new TypeError(`A lease lasts 1 to ${leaseMsMax} ms, not ${lifetimeMs}`);
  }
  /** Those to whom something is promised, of sessions that are over too: they may not know yet. */
  const promised = new Set<Holder>();
  /** An earlier run of the service may have promised something until then. */
  const inheritedUntilMs = clock.monotonicMs() + lifetimeMs;
  let recalling: Promise<void> | undefined;

  return {
    join() {
      let holder: Holder | undefined;
      return {
        leases: {
          begin() {
            if (!holder) return;
            holder.untilMs = clock.monotonicMs() + lifetimeMs;
            promised.add(holder);
          },
          lifetimeMs: (implementation) => (holder ? leasableMs(implementation, lifetimeMs, clock) : 0),
        },
        takeLeases(stub) {
          holder?.stub[Symbol.dispose]();
          const taken: Holder = { stub: stub.dup() as RpcStub<LeaseHolder>, untilMs: 0 };
          holder = taken;
          return new Taking(() => {
            if (holder === taken) holder = undefined;
            taken.stub[Symbol.dispose]();
          });
        },
      };
    },
    // One for all that was changed in this turn.
    recall() {
      recalling ??= new Promise<void>((resolve) => afterTurn(resolve)).then(() => {
        recalling = undefined;
        return recallAll();
      });
      return recalling;
    },
  };

  async function recallAll(): Promise<void> {
    const nowMs = clock.monotonicMs();
    const waits = [passed(isShared ? nowMs + lifetimeMs : inheritedUntilMs)];
    for (const holder of promised) {
      if (holder.untilMs > nowMs) waits.push(Promise.race([hasHeard(holder), passed(holder.untilMs)]));
      else promised.delete(holder);
    }
    await Promise.all(waits);
  }

  /** Never resolves for one who cannot be told: its lease is waited for. */
  function hasHeard({ stub }: Holder): Promise<void> {
    const told = withOwnDeadline(() => stub.recall(), clock) as PromiseLike<unknown>;
    return new Promise((resolve) =>
      told.then(
        () => resolve(),
        () => {},
      ),
    );
  }

  async function passed(atMs: number): Promise<void> {
    const leftMs = atMs - clock.monotonicMs();
    if (leftMs > 0) await new Promise<void>((resolve) => void clock.after(leftMs, resolve));
  }
}

/** The session's hold on its leases: released, nothing more is promised to it. */
class Taking extends RpcTarget {
  readonly #end: () => void;

  constructor(end: () => void) {
    super();
    this.#end = end;
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}

function leasableMs(implementation: object, lifetimeMs: number, clock: Clock): number {
  if (isCounted(implementation)) return 0;
  let object = implementation;
  for (let next = caretakerOf(object); next; next = caretakerOf(object)) object = next.target;
  const ownEndMs = standsUntil in object ? (object as StandsUntil)[standsUntil]() : Number.POSITIVE_INFINITY;
  const endMs = Math.min(ownEndMs, endsAt(implementation) ?? Number.POSITIVE_INFINITY);
  return Math.max(0, Math.floor(Math.min(lifetimeMs, endMs - clock.now())));
}
