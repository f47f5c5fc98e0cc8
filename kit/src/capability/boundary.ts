import { type Clock, systemClock } from "../base/clock.ts";
import { deadlineExceeded, runInContext } from "../base/context.ts";
import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import type { Peer } from "../base/peer.ts";
import type { Turn } from "../resilience/turns.ts";
import { type Call, type Dispatcher, dispatch } from "../rpc/call.ts";
import type { OnBroken } from "../rpc/ref.ts";
import type { SessionEnv } from "../rpc/session-env.ts";
import { RpcPromise, RpcTarget, rawOf } from "../rpc/stub.ts";
import { onBroken } from "../rpc/target.ts";
import { noSuchMember } from "../rpc/values.ts";
import { assertHolds, began, hostOf, unchecked } from "./conditions.ts";
import type { Contract, Implementation, Method } from "./contract.ts";
import type { Env } from "./env.ts";
import { hold, isDisposable, isHeld, letGo } from "./holders.ts";
import { type Asked, askLeased, leasedCall } from "./leased.ts";
import { assertAskedFor } from "./streams.ts";

/** For whom something is exposed: `{ peer }` is enough. Without a clock it follows its session's, or the system's. */
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
  return new Boundary(contract as unknown as Contract<RpcTarget>, implementation, env);
}

class Boundary extends RpcTarget implements Dispatcher, Disposable {
  readonly #contract: Contract<RpcTarget>;
  readonly #implementation: object;
  readonly #own: ExposeOptions;
  readonly #onReleased: (() => void) | undefined;
  #isReleased = false;

  /** @param onReleased hears, once, that it was released. */
  constructor(contract: Contract<RpcTarget>, implementation: object, own: ExposeOptions, onReleased?: () => void) {
    super();
    this.#contract = contract;
    this.#implementation = implementation;
    this.#own = own;
    this.#onReleased = onReleased;
    hold(implementation);
  }

  [dispatch](name: string, args: readonly unknown[], reply: Call): void {
    const method = this.#contract.methods.get(name);
    const asked = method ? { name, method, args, reply } : this.#leased(name, args, reply);
    if (asked) answer(new Invocation(this.#contract, this.#implementation, this.#own, asked));
    else reply.fail(noSuchMember([name]));
  }

  #leased(name: string, args: readonly unknown[], reply: Call): Asked | undefined {
    const { leases } = this.#own;
    if (!leases || name !== askLeased) return undefined;
    return leasedCall({ contract: this.#contract, implementation: this.#implementation, leases }, args, reply);
  }

  /** The implementation may be a stub of an object hosted elsewhere. */
  [onBroken](hear: OnBroken): (() => void) | undefined {
    return rawOf(hostOf(this.#implementation))?.ref.onBroken(hear);
  }

  [Symbol.dispose](): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#onReleased?.();
    quietly(() => letGo(this.#implementation), this.#own);
  }
}

/** One call of one method, as the guards see it. */
class Invocation {
  readonly contract: Contract<RpcTarget>;
  readonly implementation: object;
  readonly own: ExposeOptions;
  readonly name: string;
  readonly method: Method;
  readonly reply: Call;
  /** Undefined for a call within this process. */
  readonly session: SessionEnv | undefined;
  readonly clock: Clock;
  args: readonly unknown[];
  turn: Turn | undefined = undefined;
  /** Arguments that are disposed when the method is done. */
  borrowed: Disposable[] | undefined = undefined;

  constructor(contract: Contract<RpcTarget>, implementation: object, own: ExposeOptions, asked: Asked) {
    this.contract = contract;
    this.implementation = implementation;
    this.own = own;
    this.name = asked.name;
    this.method = asked.method;
    this.args = asked.args;
    this.reply = asked.reply;
    this.session = asked.reply.env;
    this.clock = asked.reply.context.clock ?? own.clock ?? systemClock;
  }

  get peer(): Peer {
    return this.session?.peer ?? this.own.peer;
  }

  get isPlain(): boolean {
    return this.reply.isPlain;
  }

  /** The method is done, or is not begun. */
  end(): void {
    if (this.borrowed) for (const value of this.borrowed) value[Symbol.dispose]();
    this.turn?.end();
  }

  fail(thrown: unknown): void {
    const error = toFlotillaError(thrown, this.reply.context.traceId);
    if (error.code === "internal" && !this.reply.isSettled) this.own.onFault?.(error.cause ?? error);
    this.reply.fail(error);
  }
}

type Next = (call: Invocation) => void;
type Guard = (call: Invocation, next: Next) => void;

/** Reports the call to the session's `onAnswered` once it has succeeded or failed. */
const counted: Guard = (call, next) => {
  const onAnswered = call.session?.onAnswered;
  if (onAnswered) {
    const { contract, name: method, clock, reply } = call;
    const fromMs = reply.context.arrivedAtMs ?? clock.monotonicMs();
    reply.onSettled((error) => {
      const code = error === undefined ? undefined : toFlotillaError(error).code;
      onAnswered({ contract: contract.name, method, ms: clock.monotonicMs() - fromMs, code });
    });
  }
  next(call);
};

/** Waits for its turn among the calls of its network address. */
const inTurn: Guard = (call, next) => {
  const turn = call.session?.turns?.take(call.reply.context);
  if (!(turn instanceof Promise)) {
    call.turn = turn;
    next(call);
    return;
  }
  turn.then(
    (mine) => {
      call.turn = mine;
      guarded(call, next);
    },
    (refusal: unknown) => call.fail(refusal),
  );
};

const inTime: Guard = (call, next) => {
  if (call.reply.context.deadlineAtMs <= call.clock.monotonicMs()) throw deadlineExceeded();
  next(call);
};

/**
 * Asked after queueing, because authority may have ended meanwhile, and before validation, because a revoked caller is told
 * nothing about its arguments.
 */
const whileAuthorised: Guard = (call, next) => {
  assertHolds(call.implementation, call.method.builtIn ? undefined : call.name, call.clock);
  next(call);
};

const withCheckedArguments: Guard = (call, next) => {
  call.args = receiveArguments(call);
  next(call);
};

/** Outermost first. */
const guards: readonly Guard[] = [counted, inTurn, inTime, whileAuthorised, withCheckedArguments];
const pipeline = guards.reduceRight<Next>((next, guard) => (call) => guard(call, next), run);

/** The one path into an implementation. */
function answer(call: Invocation): void {
  guarded(call, pipeline);
}

function guarded(call: Invocation, next: Next): void {
  try {
    next(call);
  } catch (thrown) {
    call.end();
    call.fail(thrown);
  }
}

function run(call: Invocation): void {
  const result = runInContext(call.reply.context, invoke, call);
  if (!isPromise(result)) {
    call.end();
    leave(call, result);
    return;
  }
  result.then(
    (value) => {
      call.end();
      leave(call, value);
    },
    (thrown: unknown) => {
      call.end();
      call.fail(thrown);
    },
  );
}

function invoke({ method, contract, implementation, own, name, peer, clock, args }: Invocation): unknown {
  if (method.builtIn) {
    return method.builtIn({ contract, implementation, env: { ...own, peer, clock } }, ...(args as never[]));
  }
  // The same turn as in `whileAuthorised`: what counts calls counts those that begin.
  began(implementation, clock);
  const object = unchecked(implementation);
  const implemented: unknown = (object as Record<string, unknown>)[name];
  if (typeof implemented !== "function") throw new TypeError(`${contract.name}.${name} is not implemented`);
  // Not `implemented.apply`: of a stub, that would be a property of the remote object.
  return Reflect.apply(implemented, object, args);
}

/** Sends the result: a capability behind its own contract, or data, which is checked while it is written. */
function leave(call: Invocation, result: unknown): void {
  const { method, reply, own } = call;
  try {
    if (reply.isSettled) disposeUnheld(result, own);
    else if (method.builtIn) reply.returned(result);
    else if (method.returns) reply.returned(asCapability(call, method.returns, result));
    else reply.returnedData(result);
  } catch (thrown) {
    call.fail(thrown);
  }
}

function asCapability(call: Invocation, contract: Contract<RpcTarget>, result: unknown): Boundary {
  if (!isObject(result)) throw new TypeError(`${call.contract.name}.${call.name} returned no capability`);
  try {
    return new Boundary(contract, result, call.own, call.session?.holdings?.take());
  } catch (refusal) {
    // There is no place for it in the session.
    disposeUnheld(result, call.own);
    throw refusal;
  }
}

function receiveArguments(call: Invocation): readonly unknown[] {
  const [args, { params }] = [call.args, call.method];
  assertAskedFor(call.reply.streams, args, params);
  if (args.length > params.length) throw tooManyArguments(params.length);
  const received = new Array<unknown>(params.length);
  for (let i = 0; i < params.length; i += 1) {
    const param = params[i]!;
    if (i >= args.length && !param.isOptional) throw new FlotillaError("invalid_argument", `${param.name} is missing`);
    const value = param.receive(args[i], call);
    received[i] = value;
    if (isObject(value) && isDisposable(value)) {
      call.borrowed ??= [];
      call.borrowed.push(value);
    }
  }
  return received;
}

function tooManyArguments(max: number): FlotillaError {
  const allowed = max === 0 ? "no arguments" : max === 1 ? "at most 1 argument" : `at most ${max} arguments`;
  return new FlotillaError("invalid_argument", `Takes ${allowed}`);
}

/** A result that nobody received, unless a boundary for somebody else stands around it. */
function disposeUnheld(value: unknown, env: ExposeOptions): void {
  if (isDisposable(value) && !isHeld(value)) quietly(() => value[Symbol.dispose](), env);
}

/** A disposer that throws is a fault of the implementation, and fails no call. */
function quietly(dispose: () => void, env: ExposeOptions): void {
  try {
    dispose();
  } catch (fault) {
    env.onFault?.(fault);
  }
}

function isObject(value: unknown): value is object {
  return value !== null && (typeof value === "object" || typeof value === "function");
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  value instanceof Promise || value instanceof RpcPromise;
