import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { makeTokenBucket } from "../resilience/token-bucket.ts";
import { RpcPromise, RpcStub, type RpcTarget } from "../rpc/stub.ts";
import {
  admit,
  type Condition,
  caretakerOf,
  denied,
  notAfter,
  type Revocation,
  register,
  unchecked,
} from "./conditions.ts";
import type { Contract, Implementation, MethodName } from "./contract.ts";
import { hold, letGo } from "./holders.ts";
import { notRevoked } from "./revoker.ts";

/** What is left of a capability. Whatever is absent is as it was. */
export interface Attenuation<I> {
  /** The methods that remain; any other is `permission_denied`, reason `attenuated`. */
  readonly only?: readonly MethodName<I>[];
  /** When it ends, in milliseconds since the epoch; then `permission_denied`, reason `expired`. */
  readonly until?: number;
  /** How many calls may begin, whatever comes of them; then `permission_denied`, reason `used_up`. */
  readonly times?: number;
  /**
   * `calls` may begin at once, and as many in each `perMs` milliseconds on average; above it `resource_exhausted`, reason
   * `rate_limited`, with `retryAfterMs`.
   */
  readonly rate?: { readonly calls: number; readonly perMs: number };
  /** Once revoked, `permission_denied`, reason `revoked`. */
  readonly revoker?: Revocation;
  /** Times calls that reach the result in this process, without a boundary; a boundary goes by its own clock. */
  readonly clock?: Clock;
}

/**
 * Hands out less: returns a caretaker, an implementation that lets through to `target` what `attenuation` leaves, to be
 * exposed or returned under the same contract. `target` is an object of this process or a stub; attenuating what is
 * attenuated only ever narrows it.
 *
 * With `revoker` or `until` it is a membrane: a capability that a call through it returns ends with it too (`only`,
 * `times` and `rate` count for `target` alone). Arguments pass as they are: what `target` hands to a caller's callback
 * is not wrapped. After Miller's *Robust Composition* (caretaker, membrane) and Cap'n Proto's `membrane.h`.
 *
 * A stub is borrowed: the caretaker keeps a `dup()`, which it disposes when it is disposed or revoked. An object is held
 * as a boundary holds it: disposing the caretaker disposes the object when no other boundary or caretaker holds it.
 *
 * @throws TypeError for a method that the contract does not list, or a number that makes no sense.
 */
export function attenuate<I extends RpcTarget>(
  contract: Contract<I>,
  target: NoInfer<Implementation<I> | RpcStub<I> | RpcPromise<I>>,
  attenuation: NoInfer<Attenuation<I>>,
): Implementation<I> & Disposable {
  const { only, until, times, rate, revoker, clock = systemClock } = attenuation;
  const erased = contract as unknown as Contract<RpcTarget>;
  const lasting = {
    contract: erased,
    revoker,
    clock,
    conditions: [...(revoker ? [notRevoked(revoker)] : []), ...(until === undefined ? [] : [notAfter(until)])],
  };
  const counting = [
    ...(only ? [within(erased, only)] : []),
    ...(times === undefined ? [] : [atMost(times)]),
    ...(rate ? [noFasterThan(rate)] : []),
  ];
  // Last, so that nothing is kept when the above throws.
  const kept = target instanceof RpcStub ? (target as unknown as RpcStub<RpcTarget>).dup() : target;
  return makeCaretaker(kept as object, lasting, counting) as Implementation<I> & Disposable;
}

/** The same with one condition of the kit's own, which binds what is obtained through it too. */
export function onlyWhile(contract: Contract<RpcTarget>, target: object, condition: Condition): Disposable {
  return makeCaretaker(target, { contract, conditions: [condition], revoker: undefined, clock: systemClock }, []);
}

/** What binds a capability and all that is obtained through it. */
interface Lasting {
  readonly contract: Contract<RpcTarget>;
  readonly conditions: readonly Condition[];
  readonly revoker: Revocation | undefined;
  readonly clock: Clock;
}

/** Owns `target` if it is a stub, and holds it if it is an object. `counting` binds this capability alone. */
function makeCaretaker(target: object, lasting: Lasting, counting: readonly Condition[]): Disposable {
  const { contract, conditions, revoker, clock } = lasting;
  const inner: Record<string, unknown> = Object.create(null);
  const face: Record<string, unknown> = {};
  for (const [name, { returns, builtIn }] of contract.methods) {
    if (builtIn) continue;
    const forward = (...args: unknown[]) =>
      wrap(call(target, name, args), returns && { ...lasting, contract: returns });
    inner[name] = forward;
    face[name] = (...args: unknown[]) => {
      admit(face, name, clock);
      return forward(...args);
    };
  }

  const isStub = target instanceof RpcStub;
  const isRemote = isStub || (caretakerOf(target)?.isRemote ?? false);
  if (!isStub) hold(target);
  let isReleased = false;
  let cancel: Cancel = () => {};
  const release = () => {
    if (isReleased) return;
    isReleased = true;
    cancel();
    if (isStub) target[Symbol.dispose]();
    else letGo(target);
  };
  Object.assign(face, { [Symbol.dispose]: release });
  register(Object.freeze(face), [...conditions, ...counting], { target, unchecked: inner, isRemote });
  // What is hosted elsewhere costs its host until it is released; a holder that was cut off may never do so.
  if (isRemote && revoker) cancel = revoker.onRevoked(release);
  return face as unknown as Disposable;
}

function call(target: object, name: string, args: unknown[]): unknown {
  const object = unchecked(target);
  const method: unknown = (object as Record<string, unknown>)[name];
  if (typeof method !== "function") throw new TypeError(`${name} is not implemented`);
  // Not `method.apply`: of a stub, that would be a property of the remote object.
  return Reflect.apply(method, object, args);
}

/** A capability among the results, behind a caretaker of its own. What is none is for the boundary to refuse. */
function wrap(result: unknown, lasting: Lasting | undefined): unknown {
  if (!lasting || lasting.conditions.length === 0) return result;
  if (result instanceof Promise || result instanceof RpcPromise) {
    return (result as Promise<unknown>).then((value) => wrap(value, lasting));
  }
  if (result === null || (typeof result !== "object" && typeof result !== "function")) return result;
  return makeCaretaker(result, lasting, []);
}

function within(contract: Contract<RpcTarget>, only: readonly PropertyKey[]): Condition {
  const left: ReadonlySet<PropertyKey> = new Set(only);
  for (const name of left) {
    const method = contract.methods.get(name as string);
    if (!method || method.builtIn) throw new TypeError(`${contract.name} has no method ${String(name)}`);
  }
  return {
    refusal: (method) =>
      method === undefined || left.has(method) ? undefined : denied(`${method} is not granted`, "attenuated"),
  };
}

function atMost(times: number): Condition {
  if (!Number.isSafeInteger(times) || times < 0) throw new TypeError("times is not a non-negative integer");
  let left = times;
  return {
    refusal: () => (left > 0 ? undefined : denied("The capability is used up", "used_up")),
    began() {
      left -= 1;
    },
  };
}

function noFasterThan({ calls, perMs }: NonNullable<Attenuation<RpcTarget>["rate"]>): Condition {
  if (!Number.isSafeInteger(calls) || calls < 1) throw new TypeError("rate.calls is not a positive integer");
  if (!Number.isSafeInteger(perMs) || perMs < 1) throw new TypeError("rate.perMs is not a positive integer");
  const bucket = makeTokenBucket({ calls, perMs });
  return {
    refusal(method, clock) {
      const retryAfterMs = bucket.waitMs(clock.monotonicMs());
      if (method === undefined || retryAfterMs === 0) return undefined;
      const detail = { reason: "rate_limited", retryAfterMs };
      return new FlotillaError("resource_exhausted", `More than ${calls} calls in ${perMs} ms`, detail);
    },
    began: (clock) => void bucket.take(clock.monotonicMs()),
  };
}
