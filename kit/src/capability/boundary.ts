import { RpcPromise, RpcTarget } from "capnweb";
import { alarmsOf } from "../base/alarms.ts";
import { systemClock } from "../base/clock.ts";
import { type CallContext, currentContext, deadlineExceeded, withContext } from "../base/context.ts";
import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import { holdingsOf } from "../base/holdings.ts";
import { type OnAnswered, observerOf } from "../base/observer.ts";
import { type Turn, turnsOf } from "../base/turns.ts";
import { admit, assertHolds, unchecked } from "./conditions.ts";
import type { Contract, Implementation, Method } from "./contract.ts";
import { assertData } from "./data.ts";
import type { Env } from "./env.ts";
import { hold, isDisposable, isHeld, letGo } from "./holders.ts";

/** A class per contract, made once: its prototype has the contract's methods and nothing else. */
type BoundaryClass = new (
  contract: Contract<RpcTarget>,
  implementation: object,
  env: Env,
  onReleased?: () => void,
) => RpcTarget & Disposable;
const classes = new WeakMap<Contract<RpcTarget>, BoundaryClass>();

/** For whom something is exposed: `{ peer }` is enough. Without a clock it follows the system's. */
export type ExposeOptions = Omit<Env, "clock"> & Partial<Pick<Env, "clock">>;

/**
 * Makes of `implementation` what one peer may call: what the contract lists, with arguments that passed its schemas,
 * within the call's deadline; errors leave as coded errors. Nothing else of the object is reachable. For `serve`'s
 * `main`, and for an object that is passed to a peer as a callback; what methods return is exposed by itself.
 *
 * When the last boundary around `implementation` is released (by its peer, or because the session ended) its
 * `[Symbol.dispose]` is called, if it has one.
 */
export function expose<I>(
  contract: Contract<I>,
  implementation: Implementation<I>,
  env: ExposeOptions,
): RpcTarget & Disposable {
  return stand(contract as unknown as Contract<RpcTarget>, implementation, { ...env, clock: env.clock ?? systemClock });
}

/** @param onReleased hears, once, that the boundary was released. */
function stand(contract: Contract<RpcTarget>, implementation: object, env: Env, onReleased?: () => void) {
  let boundary = classes.get(contract);
  if (!boundary) {
    boundary = makeClass(contract);
    classes.set(contract, boundary);
  }
  return new boundary(contract, implementation, env, onReleased);
}

function makeClass(contract: Contract<RpcTarget>): BoundaryClass {
  class Boundary extends RpcTarget {
    readonly #contract: Contract<RpcTarget>;
    readonly #implementation: object;
    readonly #env: Env;
    readonly #onReleased: (() => void) | undefined;
    #isReleased = false;

    constructor(own: Contract<RpcTarget>, implementation: object, env: Env, onReleased?: () => void) {
      super();
      this.#contract = own;
      this.#implementation = implementation;
      this.#env = env;
      this.#onReleased = onReleased;
      hold(implementation);
    }

    static invoke(target: Boundary, name: string, method: Method, args: unknown[]): unknown {
      return invoke({
        contract: target.#contract,
        implementation: target.#implementation,
        env: target.#env,
        name,
        method,
        args,
      });
    }

    [Symbol.dispose](): void {
      if (this.#isReleased) return;
      this.#isReleased = true;
      this.#onReleased?.();
      quietly(() => letGo(this.#implementation), this.#env);
    }
  }
  for (const [name, method] of contract.methods) {
    const run = {
      [name](this: Boundary, ...args: unknown[]) {
        return Boundary.invoke(this, name, method, args);
      },
    }[name] as object;
    // A method can be read over the wire like a property; its name and length are nobody's business there.
    Reflect.deleteProperty(run, "name");
    Reflect.deleteProperty(run, "length");
    Object.defineProperty(Boundary.prototype, name, { value: run });
  }
  Object.freeze(Boundary.prototype);
  return Boundary;
}

interface Invocation {
  readonly contract: Contract<RpcTarget>;
  readonly implementation: object;
  readonly env: Env;
  readonly name: string;
  readonly method: Method;
  readonly args: readonly unknown[];
}

/** The one path into an implementation. */
function invoke(call: Invocation): unknown {
  const context = currentContext();
  if (context) return invokeIn(call, context);
  // Called in this process, not by a peer: the same rules hold, with a deadline of its own.
  return withContext({}, () => invokeIn(call, currentContext()!), call.env.clock);
}

function invokeIn(call: Invocation, context: CallContext): unknown {
  const onAnswered = observerOf(call.env.peer);
  return onAnswered ? observed(call, context, onAnswered) : answer(call, context);
}

/** Tells `onAnswered` of the call when it is answered, whatever with. */
function observed(call: Invocation, context: CallContext, onAnswered: OnAnswered): unknown {
  const { contract, name: method, env } = call;
  const fromMs = context.arrivedAtMs ?? env.clock.monotonicMs();
  const tell = (error?: unknown) => {
    const code = error instanceof FlotillaError ? error.code : undefined;
    onAnswered({ contract: contract.name, method, ms: env.clock.monotonicMs() - fromMs, code });
  };
  try {
    const result = answer(call, context);
    if (result instanceof Promise) result.then(() => tell(), tell);
    else tell();
    return result;
  } catch (error) {
    tell(error);
    throw error;
  }
}

function answer(call: Invocation, context: CallContext): unknown {
  try {
    const turn = turnsOf(call.env.peer, call.env.clock).take(context);
    const result =
      turn instanceof Promise ? turn.then((mine) => begin(call, context, mine)) : begin(call, context, turn);
    return isPromise(result) ? settle(call, context, result) : leave(call, result);
  } catch (thrown) {
    throw normalise(call, thrown, context);
  }
}

/** Runs `call` in its turn, which ends, as what it borrowed does, when the result is there. */
function begin(call: Invocation, context: CallContext, turn: Turn): unknown {
  const borrowed: Disposable[] = [];
  const end = () => {
    release(borrowed);
    turn.end();
  };
  let result: unknown;
  try {
    if (remainingMs(call, context) <= 0) throw deadlineExceeded();
    // Not before the wait for a turn, during which anything may end, and not after a word about the arguments.
    assertHolds(call.implementation, nameOf(call), call.env.clock);
    result = run(call, receiveArguments(call, borrowed));
    if (isPromise(result)) {
      const settled = Promise.resolve(result);
      settled.then(end, end);
      return settled;
    }
  } catch (thrown) {
    end();
    throw thrown;
  }
  end();
  return result;
}

function remainingMs({ env }: Invocation, { deadlineAtMs }: CallContext): number {
  return deadlineAtMs - env.clock.monotonicMs();
}

function run({ method, contract, implementation, env, name }: Invocation, args: unknown[]): unknown {
  if (method.builtIn) return method.builtIn({ contract, implementation, env }, ...(args as never[]));
  // The same turn as in `begin`: what counts calls counts those that begin.
  admit(implementation, name, env.clock);
  const object = unchecked(implementation);
  const implemented: unknown = (object as Record<string, unknown>)[name];
  if (typeof implemented !== "function") throw new TypeError(`${contract.name}.${name} is not implemented`);
  // Not `implemented.apply`: of a stub, that would be a property of the remote object.
  return Reflect.apply(implemented, object, args);
}

/** Waits for the result, at most until the deadline; a result that comes later is disposed. */
function settle(call: Invocation, context: CallContext, result: PromiseLike<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const fail = (thrown: unknown) => reject(normalise(call, thrown, context));
    const cancel = alarmsOf(call.env.clock).set(context.deadlineAtMs, () => {
      isLate = true;
      fail(deadlineExceeded());
    });
    const onResult = (value: unknown) => {
      if (isLate) {
        disposeUnheld(value, call.env);
        return;
      }
      cancel();
      try {
        resolve(leave(call, value));
      } catch (thrown) {
        fail(thrown);
      }
    };
    const onError = (thrown: unknown) => {
      if (isLate) return;
      cancel();
      fail(thrown);
    };
    result.then(onResult, onError);
  });
}

/** What a result becomes on its way out: a capability behind its own contract, or data that is proven to be data. */
function leave({ contract, name, method, env }: Invocation, result: unknown): unknown {
  if (method.builtIn) return result;
  const where = `${contract.name}.${name}`;
  if (!method.returns) {
    assertData(result, where);
    return result;
  }
  if (result === null || (typeof result !== "object" && typeof result !== "function")) {
    throw new TypeError(`${where} returned no capability`);
  }
  return stand(method.returns, result, env, takePlace(result, env));
}

/** A result for which the session has no place is disposed, as one that came too late. */
function takePlace(result: unknown, env: Env): (() => void) | undefined {
  try {
    return holdingsOf(env.peer)?.take();
  } catch (refusal) {
    disposeUnheld(result, env);
    throw refusal;
  }
}

function receiveArguments({ method, args, env }: Invocation, borrowed: Disposable[]): unknown[] {
  const { params } = method;
  if (args.length > params.length) {
    throw new FlotillaError("invalid_argument", `Takes at most ${params.length} arguments`);
  }
  return params.map((param, index) => {
    if (index >= args.length && !param.isOptional)
      throw new FlotillaError("invalid_argument", `${param.name} is missing`);
    const value = param.receive(args[index], env);
    if (isDisposable(value)) borrowed.push(value);
    return value;
  });
}

/** As conditions know it: the kit's own methods have none. */
function nameOf({ method, name }: Invocation): string | undefined {
  return method.builtIn ? undefined : name;
}

function normalise(call: Invocation, thrown: unknown, context: CallContext): FlotillaError {
  const error = toFlotillaError(thrown, context.traceId);
  if (error.code === "internal") call.env.onFault?.(error.cause ?? error);
  return error;
}

function release(borrowed: readonly Disposable[]): void {
  for (const value of borrowed) value[Symbol.dispose]();
}

/** A result that nobody received, unless a boundary for somebody else stands around it. */
function disposeUnheld(value: unknown, env: Env): void {
  if (isDisposable(value) && !isHeld(value)) quietly(() => value[Symbol.dispose](), env);
}

/** A disposer that throws would end the process inside capnweb (measured). */
function quietly(dispose: () => void, env: Env): void {
  try {
    dispose();
  } catch (fault) {
    env.onFault?.(fault);
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return value instanceof Promise || value instanceof RpcPromise;
}
