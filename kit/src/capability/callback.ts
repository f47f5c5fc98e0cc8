import { RpcPromise, RpcStub, type RpcTarget } from "capnweb";
import type { Clock } from "../base/clock.ts";
import { currentContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { callbackCallsMax } from "../base/limits.ts";
import { makePlaces, type Place, type Places } from "./places.ts";
// What fails with nobody waiting for it, such as a call on the result of a refused one, must not end the process.
import "../transport/orphans.ts";

/**
 * `stub`, whose calls fail with one error of ours, whatever its host answers. SECURITY: a peer may reject with any code
 * and reason, such as another service's `permission_denied`; passed on, it would be taken for ours by whoever matches
 * on it. The peer's words stay as the `cause`. Owns `stub`; can be called, passed on, kept with `dup()` and disposed.
 *
 * Of its calls `callbackCallsMax` run at once, counted with those of its dups and of a capability that it answers. One
 * more is not sent, and fails when it is awaited: `resource_exhausted`, reason `callback_busy`. A call runs until it was
 * answered or its deadline came, or until its result was disposed: who does not wait for the answer has to dispose it.
 * Not seen: what others call to whom it was passed on, and capabilities that are inside an object which it answers.
 */
export function isolated<T extends RpcTarget>(stub: RpcStub<T>, { clock, isHome }: IsolatedOptions): RpcStub<T> {
  const callback = { clock, isHome, places: makePlaces(callbackCallsMax) };
  return isolatedStub(stub as unknown as Stub, { callback, place: undefined }) as unknown as RpcStub<T>;
}

export interface IsolatedOptions {
  readonly clock: Clock;
  /** It is a capability of this process, come home. */
  readonly isHome: boolean;
}

type Stub = RpcStub<RpcTarget>;
type Result = RpcPromise<RpcTarget>;

interface Callback extends IsolatedOptions {
  readonly places: Places;
}

interface Held {
  readonly callback: Callback;
  /** Of the call whose result is held; a callback itself, a property, and the result of a refused call have none. */
  readonly place: Place | undefined;
}

function isolatedStub(stub: Stub, held: Held): Stub {
  return new Proxy(stub, {
    get(target, key) {
      if (key === "dup") return () => isolatedStub(dupOf(target), { ...held, place: held.place?.share() });
      return memberOf(target, key, held);
    },
  });
}

/** The result of a call, or a property of it or of a stub: to be called, awaited or read further. */
function isolatedResult(result: Result, held: Held): Result {
  const { callback, place } = held;
  const blame = makeBlame(callback);
  return new Proxy(result, {
    apply(target, _, args: never[]) {
      const call = (on: Result) => (on as unknown as (...args: never[]) => Result)(...args);
      const [made, its] = begin(target, callback, call);
      // SECURITY: capnweb leaves the failure of a call within the process to nobody, and Node ends the process (measured).
      if (callback.isHome) (made as PromiseLike<unknown>).then(undefined, () => {});
      return isolatedResult(made, its);
    },
    get(target, key) {
      if (key === "then" || key === "catch" || key === "finally") {
        return (...handlers: never[]) => {
          const settled = answerOf(target, held).catch(blame);
          return Reflect.apply(settled[key], settled, handlers);
        };
      }
      if (key !== "dup") return memberOf(target, key, held);
      return () => {
        // A property's is a request of its own; a result is there, or on its way.
        if (place) return isolatedStub(dupOf(target), { callback, place: place.share() });
        return isolatedStub(...begin(target, callback, dupOf));
      };
    },
  });
}

/** A property of `target`, or what every stub has. */
function memberOf(target: Stub | Result, key: string | symbol, { callback, place }: Held): unknown {
  const member: unknown = Reflect.get(target, key, target);
  if (key === Symbol.dispose && place) {
    return () => {
      place.letGo();
      (member as () => void)();
    };
  }
  if (key === "map") {
    const map = (each: never) => (on: Result) => on.map(each) as unknown as Result;
    return (each: never) => isolatedResult(...begin(target as Result, callback, map(each)));
  }
  return isResult(member) ? isolatedResult(member, { callback, place: undefined }) : member;
}

/** Sends a request to `target`, or, when as many run as may, to what fails: so the arguments end as they would there. */
function begin<T>(target: Result, callback: Callback, request: (on: Result) => T): [made: T, held: Held] {
  const { places } = callback;
  const place = places.take();
  const on = place ? target : (new RpcPromise(Promise.reject(places.refusal())) as unknown as Result);
  try {
    return [request(on), { callback, place }];
  } catch (thrown) {
    place?.settled();
    throw thrown;
  }
}

/** Waits for `result`; a property is only now asked for. */
async function answerOf(result: Result, held: Held): Promise<unknown> {
  const { callback } = held;
  const place = held.place ?? callback.places.take();
  if (!place) throw callback.places.refusal();
  try {
    const value: unknown = await result;
    return value instanceof RpcStub ? isolatedStub(value as unknown as Stub, { callback, place: undefined }) : value;
  } finally {
    place.settled();
  }
}

/** What a call that begins now fails with, for what it was told by its host. */
function makeBlame({ clock, places }: Callback): (cause: unknown) => never {
  const context = currentContext();
  return (cause) => {
    if (places.isRefusal(cause)) throw cause;
    if (context && clock.monotonicMs() >= context.deadlineAtMs) {
      throw new FlotillaError("deadline_exceeded", "The callback took longer than the call's deadline", { cause });
    }
    const detail = { reason: "callback_failed", retryable: false, cause };
    throw new FlotillaError("failed_precondition", "The callback failed", detail);
  };
}

const isResult = (member: unknown): member is Result => member instanceof RpcPromise;
const dupOf = (held: Stub | Result) => held.dup() as unknown as Stub;
