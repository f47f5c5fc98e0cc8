import type { Static, TSchema } from "typebox";
import { FlotillaError } from "../base/errors.ts";
import { type RpcStub, type RpcTarget, rawOf, stubOf } from "../rpc/stub.ts";
import { isolated } from "./callback.ts";
import type { Env } from "./env.ts";
import { makeDataCheck } from "./schema.ts";

declare const carries: unique symbol;

/** One parameter of a method: its name for error messages, and how a received value becomes what the method gets. */
export interface Param<T> {
  readonly name: string;
  readonly isOptional: boolean;
  /** Throws a coded error that names the parameter. What it returns is disposed after the call if it is disposable. */
  receive(value: unknown, from: Pick<Env, "peer" | "clock"> & { readonly isPlain?: boolean }): unknown;
  /** The kind of stream that it takes, if it takes one. */
  readonly stream?: "readable" | "writable";
  /** Only for the type checker: what the schema lets through is assignable to what the interface declares. */
  readonly [carries]?: T;
}

/** A method as the boundary runs it. */
export interface Method {
  readonly params: readonly Param<unknown>[];
  /** Set when the method returns a capability, which then leaves wrapped by this contract; otherwise it returns data. */
  readonly returns: Contract<RpcTarget> | undefined;
  /** Its answers may be leased: they count until the home takes them back, or their time is over (introduction/leases.ts). */
  readonly isStanding: boolean;
  /** Set for the methods that the kit itself adds; otherwise the implementation's method of that name runs. */
  readonly builtIn: BuiltIn | undefined;
}

export type BuiltIn = (call: BuiltInCall, ...args: never[]) => unknown;

export interface BuiltInCall {
  readonly contract: Contract<RpcTarget>;
  readonly implementation: object;
  readonly env: Env;
}

/** What may be called on a capability, and with what. Whatever is not in it does not exist for a peer. */
export interface Contract<I> {
  readonly name: string;
  readonly methods: ReadonlyMap<string, Method>;
  /** Both ways: a contract that grants more than `I`, such as the right to introduce, is none of `I`. */
  readonly [carries]?: ((grants: I) => I) | undefined;
}

/** Names that the kit, a stub or JavaScript gives a meaning of its own. */
const reservedNames: ReadonlySet<string> = new Set([
  ...["deposit", "withdraw", "cancelDeposit", "askLeased", "takeLeases"],
  ...["then", "catch", "finally", "map", "dup", "onRpcBroken", "constructor", "toJSON"],
]);
type BuiltInName = "deposit" | "withdraw" | "cancelDeposit" | "askLeased" | "takeLeases";

type Callable = (...args: never[]) => unknown;
/** What can be listed of `I`: its methods, without those that the kit adds. */
export type MethodName<I> = {
  [K in keyof I]-?: [I[K]] extends [never]
    ? never
    : I[K] extends Callable
      ? K extends BuiltInName
        ? never
        : K
      : never;
}[keyof I];

/** The parameters in order; with them, for a method that returns a capability, that capability's contract. */
type MethodSpec<F> = F extends (...args: infer P) => infer R
  ? { readonly params: ParamsOf<Required<P>> } & ReturnSpec<Awaited<R>>
  : never;
type ParamsOf<P> = { readonly [K in keyof P]: Param<P[K]> };
type ReturnSpec<R> = [R] extends [RpcTarget]
  ? { readonly returns: Contract<R> }
  : "capability" extends Flaw<R>
    ? { readonly returns: CapabilityWithinData }
    : "foreign" extends Flaw<R>
      ? { readonly returns: NoData }
      : { readonly returns?: never } & ([R] extends [Primitive] ? { readonly standing?: true } : unknown);
type Primitive = string | number | boolean | null | undefined;

declare const unsupported: unique symbol;
/** Nothing is one: a capability is the whole result of a method, because it leaves by a contract of its own. */
interface CapabilityWithinData {
  readonly [unsupported]: "return the capability itself, or data that holds none";
}

/** Nothing is one: of functions, maps, sets, promises, patterns, symbols and what `fetch` gives none can be sent. */
interface NoData {
  readonly [unsupported]: "return what can be sent: see docs/protocol.md, section 3";
}
type Foreign =
  | Callable
  | symbol
  | ReadonlyMap<never, unknown>
  | ReadonlySet<never>
  | WeakMap<never, unknown>
  | RegExp
  | PromiseLike<unknown>
  | { arrayBuffer(): Promise<ArrayBuffer> };
/** `T`, if it is an error: data may have a name and a message too, and no stack. */
type AnError<T> = "stack" extends keyof T ? Error : never;
interface Stub extends Disposable {
  dup(): unknown;
}
type Leaf = Date | URL | ArrayBuffer | ArrayBufferView;
/** What is wrong with data of type `T`, as deep as `Levels` goes: types may contain themselves. */
type Flaw<T, Levels extends unknown[] = [1, 2, 3, 4, 5, 6]> = Levels extends [unknown, ...infer Deeper]
  ? T extends RpcTarget | Stub
    ? "capability"
    : T extends Foreign | AnError<T>
      ? "foreign"
      : T extends Leaf
        ? never
        : T extends readonly (infer Item)[]
          ? Flaw<Item, Deeper>
          : T extends object
            ? { [K in keyof T]-?: Flaw<T[K], Deeper> }[keyof T]
            : never
  : never;
type Methods<I> = { readonly [K in MethodName<I>]: MethodSpec<I[K]> };

/**
 * What does the work of interface `I`: an object or a class with its methods, sync or async. It extends nothing and
 * knows no RPC. Where `I` returns a capability, it returns an implementation of that. With a `[Symbol.dispose]` it
 * hears when nobody holds it any more.
 */
export type Implementation<I> = {
  readonly [K in MethodName<I>]: I[K] extends (...args: infer P) => infer R
    ? (...args: P) => Returned<Awaited<R>> | Promise<Returned<Awaited<R>>>
    : never;
};
type Returned<R> = [R] extends [RpcTarget] ? Implementation<R> : R;

/**
 * Writes down what interface `I` grants: for each method its parameters and, if it returns a capability, the contract
 * of that. Whatever is not in it does not exist for a peer. The type checker holds it against `I`: a missing method, a
 * parameter whose schema lets more through than `I` takes, or a capability without its contract do not compile.
 * `contract<Shelf>("Shelf", { count: { params: [] }, book: { params: [arg("title", Title)], returns: BookContract } })`.
 *
 * `standing: true` says of a method that returns a string, a number or a boolean that a borrower of the capability may keep
 * its answer for a moment (`makeHome`, `leases`). Mark only a method that answers the same until `home.recall()` was called.
 *
 * @param name for error messages and logs.
 * @throws TypeError for a method name that is reserved, a standing method that returns a capability, or an object schema that
 *   would let unknown keys through.
 */
export function contract<I extends RpcTarget>(name: string, methods: Methods<I>): Contract<I> {
  const specs = Object.entries(methods) as [string, AnySpec][];
  const table = new Map<string, Method>();
  for (const [method, { params, returns, standing = false }] of specs) {
    if (reservedNames.has(method) || method in Object.prototype) throw new TypeError(`${name}: ${method} is reserved`);
    if (standing && returns)
      throw new TypeError(`${name}: ${method} returns a capability, whose answers are no standing ones`);
    table.set(method, { params, returns, isStanding: standing, builtIn: undefined });
  }
  return { name, methods: table };
}

interface AnySpec {
  readonly params: Param<unknown>[];
  readonly returns?: Contract<RpcTarget>;
  readonly standing?: true;
}

/** `base` and methods of the kit's own on top; memoised by the callers. */
export function withBuiltIns(
  base: Contract<RpcTarget>,
  builtIns: Record<string, Pick<Method, "params" | "builtIn">>,
): Contract<RpcTarget> {
  const added = Object.entries(builtIns).map(
    ([name, method]) => [name, { ...method, returns: undefined, isStanding: false }] as const,
  );
  return { name: base.name, methods: new Map([...base.methods, ...added]) };
}

/**
 * A parameter that is data, checked by `schema` before the method runs; anything else is `invalid_argument` and the
 * message names the field. No stub ever passes, because every schema asks for a concrete shape.
 *
 * (`NoInfer`: else the type checker asks which schemas would give the type that is wanted, which takes it seconds.)
 *
 * @throws TypeError for a schema that would let unknown keys or anything at all through.
 */
export function arg<S extends TSchema>(name: string, schema: S): Param<NoInfer<Static<S>>> {
  const check = makeDataCheck(name, schema);
  return {
    name,
    isOptional: false,
    receive(value, { isPlain }) {
      check(value, isPlain === true);
      return value;
    },
  };
}

/** `param` as one that may be left out; the method then gets undefined. Only parameters after it may be optional too. */
export function optional<T>(param: Param<T>): Param<T> {
  return {
    name: param.name,
    isOptional: true,
    ...(param.stream && { stream: param.stream }),
    receive: (value, from) => (value === undefined ? undefined : param.receive(value, from)),
  };
}

/**
 * A parameter that is a live object of the caller's, such as a callback. It is data, never a source of authority:
 * nobody knows who hosts it. The method borrows the stub until it returns; to keep it, `dup()` it.
 * Whatever goes wrong with a call of it is `failed_precondition`, reason `callback_failed`, or `deadline_exceeded`.
 * Of its calls, `callbackCallsMax` run at once; one more fails with `resource_exhausted`, reason `callback_busy`, when it
 * is awaited. A call whose answer nobody awaits has to be disposed, or it counts for as long as it is held.
 */
export function callback<T extends RpcTarget>(name: string): Param<RpcStub<T>> {
  return {
    name,
    isOptional: false,
    receive(value, { clock }) {
      const raw = rawOf(value);
      if (!raw) throw new FlotillaError("invalid_argument", `${name} must be a capability`);
      return isolated(stubOf(raw.hold()) as RpcStub<RpcTarget>, clock);
    },
  };
}
