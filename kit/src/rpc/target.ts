import { type Alarm, type Alarms, alarmsOf } from "../base/alarms.ts";
import { systemClock } from "../base/clock.ts";
import {
  type CallContext,
  CallScope,
  contextToSend,
  currentContext,
  deadlineExceeded,
  runInContext,
} from "../base/context.ts";
import { disposeTarget, disposeTargets } from "./brand.ts";
import { type Call, type Dispatcher, dispatch } from "./call.ts";
import { CountedRef } from "./counted.ts";
import { notOffered } from "./not-offered.ts";
import type { OnBroken, Path, Ref } from "./ref.ts";
import { ResultRef } from "./result.ts";
import { promiseOf, type Raw, RpcTarget, rawOf, setRefOf, stubOf } from "./stub.ts";
import { asFault, isStream, Unsendable, unsendableObject } from "./unsendable.ts";
import { copyOf, disposeValue, fill, type Hole, noSuchMember, unpassable } from "./values.ts";

type Callable = (...args: readonly unknown[]) => unknown;

/** An object of this process, or a function. Its `[Symbol.dispose]` is called when its last hold ends. */
export class TargetRef extends CountedRef {
  #target: object | undefined;

  constructor(target: object) {
    super();
    this.#target = target;
  }

  call(path: Path, args: readonly unknown[]): Ref {
    const call = new LocalCall();
    call.begin(this, path, args);
    return call;
  }

  override deliver(path: Path, args: readonly unknown[], call: Call): void {
    const target = this.#target;
    if (!target) call.fail(noSuchMember(path));
    else if (dispatch in target) deliverByDispatch(target as Dispatcher, path, args, call);
    else carryOut(target, path, args, call);
  }

  get(path: Path): Ref {
    if (path.length === 0) return this.dup();
    const result = new ResultRef();
    const name = path[0];
    try {
      const target = this.#target as Record<string, unknown> | undefined;
      if (path.length !== 1 || !target || dispatch in target || !isOffered(target, name)) throw noSuchMember(path);
      const value = target[name];
      if (typeof value === "function" && !rawOf(value)) throw noSuchMember(path);
      returnTo(result, value);
    } catch (error) {
      result.fail(error);
    }
    return result;
  }

  protected released(): void {
    const target = this.#target!;
    this.#target = undefined;
    disposeTarget(target);
  }

  onBroken(hear: OnBroken): () => void {
    return (this.#target as Partial<Breakable> | undefined)?.[onBroken]?.(hear) ?? (() => {});
  }
}

/** By a method of this name an object that stands for another says when that is lost. */
export const onBroken: unique symbol = Symbol.for("flotilla.on-broken") as never;
interface Breakable {
  [onBroken](hear: OnBroken): (() => void) | undefined;
}

function deliverByDispatch(target: Dispatcher, path: Path, args: readonly unknown[], call: Call): void {
  const [name] = path;
  if (path.length === 1 && typeof name === "string") target[dispatch](name, args, call);
  else call.fail(noSuchMember(path));
}

function carryOut(target: object, path: Path, args: readonly unknown[], call: Call): void {
  try {
    const method = methodOf(target, path);
    if (!method) throw noSuchMember(path);
    const [stream] = call.streams;
    // No contract asks for it.
    if (stream) throw notOffered(stream.kind);
    call.returned(runInContext(call.context, run, method, target, args));
  } catch (error) {
    call.fail(error);
  }
}

function run(method: Callable, target: object, args: readonly unknown[]): unknown {
  return Reflect.apply(method, target, args);
}

/** SECURITY: a class's methods and nothing else: no property of the object itself, nothing that every object has. */
function methodOf(target: object, path: Path): Callable | undefined {
  if (path.length === 0) return typeof target === "function" ? (target as Callable) : undefined;
  const [name] = path;
  if (path.length > 1 || typeof target === "function" || !isOffered(target, name)) return undefined;
  const method = (target as Record<string, unknown>)[name];
  return typeof method === "function" ? (method as Callable) : undefined;
}

function isOffered(target: object, name: string | number | undefined): name is string {
  return typeof name === "string" && !Object.hasOwn(target, name) && !(name in Object.prototype);
}

/** A call within this process, which is like one from elsewhere: nothing is shared with the caller but capabilities. */
class LocalCall extends ResultRef implements Call, Alarm {
  readonly context: CallContext;
  readonly env = undefined;
  readonly isPlain = false;
  readonly streams: readonly never[] = [];
  readonly atMs: number;
  before: Alarm | undefined = undefined;
  after: Alarm | undefined = undefined;
  readonly #alarms: Alarms;
  /** Undefined for a call within a call, whose time it has. */
  readonly #scope: CallScope | undefined;
  readonly #stubs: Raw[] = [];

  constructor() {
    super();
    const outer = currentContext();
    const clock = outer?.clock ?? systemClock;
    const context = contextToSend(clock);
    this.#scope = context === outer ? undefined : new CallScope(context, clock);
    this.context = this.#scope ?? context;
    this.atMs = context.deadlineAtMs;
    this.#alarms = alarmsOf(clock);
  }

  begin(on: TargetRef, path: Path, args: readonly unknown[]): void {
    const holes: Hole[] = [];
    try {
      const own = takeArguments(args, this.#stubs, holes);
      if (holes.length === 0) on.deliver(path, own, this);
      else this.#deliverLater(on, holes, () => on.deliver(path, own, this));
    } catch (error) {
      for (const { ref } of holes) ref.dispose();
      this.fail(unpassable(error));
    }
    if (!this.isSettled) this.#alarms.set(this);
  }

  #deliverLater(on: TargetRef, holes: readonly Hole[], deliver: () => void): void {
    on.dup();
    const end = () => {
      // Values that came after it was settled have no owner.
      if (this.isSettled) this.#letGo();
      on.dispose();
    };
    fill(holes, this.#stubs, {
      ok: () => {
        if (!this.isSettled) deliver();
        end();
      },
      fail: (error) => {
        this.fail(error);
        end();
      },
    });
  }

  #letGo(): void {
    for (const raw of this.#stubs) raw.dispose();
  }

  ring(): void {
    this.fail(deadlineExceeded());
  }

  returned(value: unknown): void {
    returnTo(this, value);
  }

  /** Proven to be data by being copied. */
  returnedData(value: unknown): void {
    try {
      this.ok(copyOf(value, refuseInData));
    } catch (error) {
      throw asFault(error);
    }
  }

  onSettled(run: (error?: unknown) => void): void {
    this.later(() => run(this.error));
  }

  protected override settled(): void {
    this.#alarms.cancel(this);
    if (this.#scope) this.#scope.isAnswered = true;
    this.#letGo();
    super.settled();
  }
}

function refuseInData(it: object): never {
  throw new Unsendable(`a ${typeof it === "object" ? it.constructor.name : typeof it}`);
}

/** Copies `args` for the method: capabilities in them become stubs, which end with the call. */
function takeArguments(args: readonly unknown[], stubs: Raw[], holes: Hole[]): readonly unknown[] {
  const taken = copyOf(args, (it, parent, key) => {
    if (isStream(it)) return it;
    const raw = rawOf(it);
    if (raw?.isPromise) {
      holes.push({ parent, key, ref: raw.hold() });
      return undefined;
    }
    const stub = stubOf(raw?.hold() ?? new TargetRef(it));
    stubs.push(rawOf(stub)!);
    return stub;
  });
  return taken as readonly unknown[];
}

/** Answers `call` with what a method returned, and takes the capabilities in it. */
export function returnTo(call: ResultRef, value: unknown): void {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) call.ok(value);
  else if (isThenable(value)) {
    value.then(
      (it) => returnTo(call, it),
      (error: unknown) => call.fail(error),
    );
  } else if (rawOf(value)?.isPromise) call.relay(rawOf(value)!.take());
  else if (typeof value === "function" || value instanceof RpcTarget) call.okRef(takeRef(value));
  else returnData(call, value);
}

/** Data with capabilities in it. When it cannot be sent they end. */
function returnData(call: ResultRef, value: object): void {
  const seen = new Map<object, TargetRef>();
  const taken: object[] = [];
  try {
    const copy = copyOf(value, (it) => {
      if (isStream(it)) throw unsendableObject(it);
      const raw = rawOf(it);
      const stub = raw ? (raw.isPromise ? promiseOf : stubOf)(raw.take()) : stubOf(targetOnce(it, seen));
      taken.push(stub);
      return stub;
    });
    call.ok(copy);
  } catch (error) {
    disposeValue(taken);
    disposeValue(value);
    disposeTargets(value, seen);
    call.fail(asFault(error));
  }
}

function takeRef(it: object): Ref {
  return rawOf(it)?.take() ?? new TargetRef(it);
}

/** One target may stand in a value twice, and is disposed once. */
function targetOnce(target: object, seen: Map<object, TargetRef>): Ref {
  const known = seen.get(target);
  if (known) return known.dup();
  const ref = new TargetRef(target);
  seen.set(target, ref);
  return ref;
}

function isThenable(value: object): value is PromiseLike<unknown> {
  return !rawOf(value) && typeof (value as Partial<PromiseLike<unknown>>).then === "function";
}

setRefOf((value) => {
  if (typeof value === "function" || value instanceof RpcTarget) return takeRef(value as object);
  const result = new ResultRef();
  returnTo(result, value);
  return result;
});
