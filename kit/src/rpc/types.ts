/**
 * How an interface looks from afar: each method answers a promise that can be called before it is there. The brands have
 * the names that capnweb gives them, so an interface that was written with either `RpcTarget` fits the other.
 */

/** An interface whose objects are passed by reference. */
export interface RpcTarget {
  readonly __RPC_TARGET_BRAND: never;
}

type AnyFunction = (...args: never[]) => unknown;
type ByReference = RpcTarget | AnyFunction;

interface StubBase<T> extends Disposable {
  readonly __RPC_STUB_BRAND: T;
  /** Another stub of the same object, which lives until it is disposed, even when this one is disposed first. */
  dup(): this;
  /** Calls `hear` once when no call of it can be answered any more; at once when that is so already. */
  onRpcBroken(hear: (error: Error) => void): void;
}

/** A capability, hosted here or elsewhere: its calls are sent to its host. */
export type RpcStub<T> = Members<T> & StubBase<T>;

/** The result of a call: it can be awaited, or called as what it will be. Nothing is fetched until it is awaited. */
export type RpcPromise<T> = Promise<Received<T>> & Members<T> & StubBase<T>;

/** A value as it arrives: capabilities as stubs. Everything but a primitive can be disposed, with the stubs in it. */
type Received<T> = T extends ByReference ? RpcStub<T> : T extends object ? Stubified<T> & Disposable : T;

type Leaf = Date | Error | URL | ArrayBuffer | ArrayBufferView;

/** Data, with a stub in place of each capability in it. */
type Stubified<T> =
  T extends StubBase<unknown>
    ? T
    : T extends Promise<infer U>
      ? Stubified<U>
      : T extends ByReference
        ? RpcStub<T>
        : T extends Leaf
          ? T
          : T extends object
            ? { [K in keyof T]: Stubified<T[K]> }
            : T;

/** Arguments accepted where `T` is declared: the value itself, a stub of it, or the promise of either. */
type Passed<T> = T | PassedInside<T> | Promise<PassedInside<T>>;
type PassedInside<T> =
  T extends StubBase<infer V>
    ? T | V
    : T extends Leaf | AnyFunction
      ? T
      : T extends object
        ? { [K in keyof T]: Passed<T[K]> }
        : T;

type Member<V> = V extends (...args: infer P) => infer R
  ? (...args: { [I in keyof P]: Passed<P[I]> }) => Result<Awaited<R>>
  : Result<Awaited<V>>;

/** A method that answers a stub answers what it stands for: both arrive as a stub. */
type Result<R> = unknown extends R ? RpcPromise<unknown> : RpcPromise<R extends StubBase<infer T> ? T : R>;

type Members<T> = Callable<T> & { readonly [K in Exclude<keyof T, symbol | keyof StubBase<never>>]: Member<T[K]> };
type Callable<T> = T extends (...args: never[]) => unknown ? Member<T> : unknown;
