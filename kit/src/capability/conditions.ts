import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { RpcStub } from "../rpc/stub.ts";

/** Whether something is revoked: the half of a revoker that may be shown to those who must not revoke. */
export interface Revocation {
  readonly isRevoked: boolean;
  /** Calls `listener` once: when it is revoked, or at once when it is already. Cancelling twice does nothing. */
  onRevoked(listener: () => void): Cancel;
}

/** What must hold for a call on an implementation to begin. */
export interface Condition {
  /**
   * Why no call of `method` may begin now. `undefined` stands for the methods that the kit itself adds, such as `deposit`:
   * they end with the capability, and are neither taken away nor counted. Changes nothing: all are asked before any is
   * told.
   */
  refusal(method: string | undefined, clock: Clock): FlotillaError | undefined;
  /** A call of a method of the contract begins now: nothing refused it. */
  began?(clock: Clock): void;
  /** When it refuses everything from, in milliseconds since the epoch, if that is known. */
  readonly endsAtMs?: number;
  /** It refuses everything once this is revoked. */
  readonly revocation?: Revocation;
}

/** What stands before an implementation. */
interface Guard {
  readonly conditions: Condition[];
  /** Of a caretaker: what it stands for, whose conditions hold for it too. */
  readonly caretaker: Caretaker | undefined;
}

export interface Caretaker {
  readonly target: object;
  /** Its methods as they are called once every condition has been asked. */
  readonly unchecked: object;
  /** Whether what it stands for, behind however many caretakers, is hosted elsewhere. */
  readonly isRemote: boolean;
}

const guards = new WeakMap<object, Guard>();

/**
 * Lets no call begin through any boundary around `implementation` while `condition` refuses. Conditions add up.
 *
 * @throws TypeError for a stub: each is an object of its own, so a mark on one would bind nobody.
 */
export function addCondition(implementation: object, condition: Condition): void {
  if (implementation instanceof RpcStub) throw new TypeError("A stub cannot be marked; attenuate it");
  const guard = guards.get(implementation);
  if (guard) guard.conditions.push(condition);
  else guards.set(implementation, { conditions: [condition], caretaker: undefined });
}

/** Makes `face` a caretaker, bound by `conditions` and by whatever binds its target now and later. */
export function register(face: object, conditions: Condition[], caretaker: Caretaker): void {
  guards.set(face, { conditions, caretaker });
}

export function caretakerOf(implementation: object): Caretaker | undefined {
  return guards.get(implementation)?.caretaker;
}

/** The object behind all caretakers, or a stub of one hosted elsewhere. */
export function hostOf(implementation: object): object {
  const caretaker = caretakerOf(implementation);
  return caretaker ? hostOf(caretaker.target) : implementation;
}

/** The object whose methods are called after `admit` has passed. */
export function unchecked(implementation: object): object {
  return caretakerOf(implementation)?.unchecked ?? implementation;
}

/**
 * Throws when a call of `method` may not begin: an error of a condition that will refuse for good, if there is one, before
 * one that says to wait.
 */
export function assertHolds(implementation: object, method: string | undefined, clock: Clock): void {
  if (!guards.has(implementation)) return;
  let first: FlotillaError | undefined;
  forEachCondition(implementation, (condition) => {
    const refusal = condition.refusal(method, clock);
    if (refusal && !refusal.retryable) throw refusal;
    first ??= refusal;
  });
  if (first) throw first;
}

/** The same; a call that may begin is counted, by all conditions or, when one refuses, by none. */
export function admit(implementation: object, method: string, clock: Clock): void {
  assertHolds(implementation, method, clock);
  began(implementation, clock);
}

/** A call that nothing refused begins in this turn. */
export function began(implementation: object, clock: Clock): void {
  forEachCondition(implementation, (condition) => condition.began?.(clock));
}

/** All that binds an implementation now, outermost first. */
export function conditionsOf(implementation: object): Condition[] {
  const conditions: Condition[] = [];
  forEachCondition(implementation, (condition) => conditions.push(condition));
  return conditions;
}

/** When the first condition that ends by itself does, in milliseconds since the epoch. */
export function endsAt(implementation: object): number | undefined {
  let endMs: number | undefined;
  forEachCondition(implementation, ({ endsAtMs }) => {
    if (endsAtMs !== undefined && (endMs === undefined || endsAtMs < endMs)) endMs = endsAtMs;
  });
  return endMs;
}

/** Its own and those of what it stands for, outermost first. No generator: it stands in the way of every call. */
function forEachCondition(implementation: object, tell: (condition: Condition) => void): void {
  for (let guard = guards.get(implementation); guard; guard = guard.caretaker && guards.get(guard.caretaker.target)) {
    for (const condition of guard.conditions) tell(condition);
  }
}

/**
 * Ends at `atMs`, in milliseconds since the epoch; and what has ended stays so when the wall clock is set back, as it ends
 * when so much time has passed since it was made (by another clock than the system's: since that was first looked at),
 * whatever the wall clock says.
 */
export function notAfter(atMs: number): Condition {
  if (Number.isNaN(atMs)) throw new TypeError("The end is not a number");
  const onSystemMs = monotonicOf(atMs, systemClock);
  let onOtherMs: number | undefined;
  let isOver = false;
  return {
    endsAtMs: atMs,
    refusal(_, clock) {
      if (clock !== systemClock) onOtherMs ??= monotonicOf(atMs, clock);
      const endsAtMonotonicMs = clock === systemClock ? onSystemMs : onOtherMs!;
      isOver ||= clock.now() >= atMs || clock.monotonicMs() >= endsAtMonotonicMs;
      return isOver ? denied("The capability has expired", "expired") : undefined;
    },
  };
}

/** When, on the monotonic clock, it will be `atMs` of the wall clock as that goes now. */
function monotonicOf(atMs: number, clock: Clock): number {
  return clock.monotonicMs() + atMs - clock.now();
}

export function denied(message: string, reason: string): FlotillaError {
  return new FlotillaError("permission_denied", message, { reason });
}
