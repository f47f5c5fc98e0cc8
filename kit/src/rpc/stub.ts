import { FlotillaError } from "../base/errors.ts";
import { brand, isTarget } from "./brand.ts";
import { BrokenRef, type OnBroken, type Path, type Ref } from "./ref.ts";
import type { RpcPromise as PromiseOf, RpcStub as StubOf, RpcTarget as Target } from "./types.ts";

class TargetClass {
  declare readonly __RPC_TARGET_BRAND: never;

  static [Symbol.hasInstance](value: unknown): boolean {
    return isTarget(value);
  }
}
Object.defineProperty(TargetClass.prototype, brand, { value: true });

/** Objects of classes that extend it are passed by reference: a peer gets a stub, and its calls come here. */
export type RpcTarget = Target;
export const RpcTarget: { new (): RpcTarget } = TargetClass;

/** Behind a stub, which is a Proxy. */
const rawKey = Symbol("raw");
const atSelf: Path = [];

/** One stub. It holds its `ref` once, unless it is a member of another stub. */
export class Raw {
  #ref: Ref;
  readonly #owner: Raw | undefined;
  readonly path: Path;
  readonly isPromise: boolean;
  #members: Map<string, object> | undefined;
  #settled: Promise<unknown> | undefined;

  constructor(ref: Ref, path: Path, isPromise: boolean, owner?: Raw) {
    this.#ref = ref;
    this.path = path;
    this.isPromise = isPromise;
    this.#owner = owner;
  }

  get ref(): Ref {
    return this.#owner ? this.#owner.ref : this.#ref;
  }

  get isMember(): boolean {
    return this.#owner !== undefined;
  }

  member(name: string): object {
    const known = this.#members?.get(name);
    if (known) return known;
    const made = proxyOf(new Raw(this.ref, [...this.path, name], true, this.#owner ?? this));
    // A promise is used once or twice; a capability's methods are called again and again.
    if (!this.isPromise && (this.#members?.size ?? 0) < membersMax) {
      this.#members ??= new Map();
      this.#members.set(name, made);
    }
    return made;
  }

  /** A hold for another stub: of the member's value, or of the stub's own ref. */
  hold(): Ref {
    return this.isMember ? this.ref.get(this.path) : this.ref.dup();
  }

  /** Takes the hold away from the stub, which then is disposed. */
  take(): Ref {
    if (this.isMember) return this.ref.get(this.path);
    const ref = this.#ref;
    this.#ref = disposed;
    this.#members = undefined;
    return ref;
  }

  dispose(): void {
    this.take().dispose();
  }

  /** A result is there once; a member is read each time. */
  settled(): Promise<unknown> {
    if (this.isMember) return cameTo(this.ref.get(this.path));
    this.#settled ??= pulled(this.#ref);
    return this.#settled;
  }
}

/** Owns `ref`. */
function cameTo(ref: Ref): Promise<unknown> {
  return ref.isResult ? pulled(ref) : Promise.resolve(stubOf(ref));
}

function pulled(ref: Ref): Promise<unknown> {
  return new Promise((resolve, reject) => ref.pull({ ok: resolve, fail: reject }));
}

/** An interface has fewer names; beyond this they come from a loop over made-up names. */
const membersMax = 100;

/** A mistake of this program's, made where it is used; a peer hears of it as `internal`. */
class DisposedRef extends BrokenRef {
  constructor() {
    super(undefined);
  }

  override get error(): Error {
    return new Error("The stub was disposed before");
  }

  /** A stub that its own holder disposed is not broken. */
  override onBroken(): () => void {
    return () => {};
  }
}
const disposed = new DisposedRef();

export function rawOf(value: unknown): Raw | undefined {
  return typeof value === "function" ? (value as unknown as { readonly [rawKey]?: Raw })[rawKey] : undefined;
}

/** A stub that owns `ref`, a hold of it. */
export function stubOf(ref: Ref): object {
  return proxyOf(new Raw(ref, atSelf, false));
}

/** The same for the result of a call. */
export function promiseOf(ref: Ref): object {
  return proxyOf(new Raw(ref, atSelf, true));
}

function proxyOf(raw: Raw): object {
  const face = () => {};
  face.raw = raw;
  return new Proxy(face, handlers);
}

type Face = { readonly raw: Raw };

const handlers: ProxyHandler<Face & (() => void)> = {
  apply({ raw }, _this, args: unknown[]) {
    return promiseOf(raw.ref.call(raw.path, args));
  },
  get({ raw }, key) {
    if (typeof key === "string") {
      if (key === "then" || key === "catch" || key === "finally") return raw.isPromise ? thenable[key] : undefined;
      if (Object.hasOwn(common, key)) return common[key];
      return key in Object.prototype ? Reflect.get(Object.prototype, key) : raw.member(key);
    }
    if (key === rawKey) return raw;
    if (key === brand) return true;
    return key === Symbol.dispose && !raw.isMember ? () => raw.dispose() : undefined;
  },
  has({ raw }, key) {
    if (key === "then" || key === "catch" || key === "finally") return raw.isPromise;
    return typeof key === "string" || key === brand || (key === Symbol.dispose && !raw.isMember);
  },
  getPrototypeOf: ({ raw }) => (raw.isPromise ? PromiseClass.prototype : StubClass.prototype),
  set() {
    throw new TypeError("Nothing can be assigned to a stub");
  },
  defineProperty() {
    throw new TypeError("No property can be defined on a stub");
  },
  deleteProperty() {
    throw new TypeError("Nothing can be deleted from a stub");
  },
  setPrototypeOf() {
    throw new TypeError("The prototype of a stub stays");
  },
  isExtensible: () => true,
  ownKeys: () => [],
  getOwnPropertyDescriptor: () => undefined,
};

const thenable = {
  // biome-ignore lint/suspicious/noThenProperty: a promise of a result has to have one.
  then(this: unknown, ...handlers: never[]): Promise<unknown> {
    return rawOf(this)!
      .settled()
      .then(...handlers);
  },
  catch(this: unknown, onError: never): Promise<unknown> {
    return rawOf(this)!.settled().catch(onError);
  },
  finally(this: unknown, run: never): Promise<unknown> {
    return rawOf(this)!.settled().finally(run);
  },
};

const common: Record<string, unknown> = {
  dup(this: unknown) {
    return stubOf(rawOf(this)!.hold());
  },
  onRpcBroken(this: unknown, hear: OnBroken) {
    rawOf(this)!.ref.onBroken((error) => quietly(hear, error));
  },
  map() {
    const message = "map is not offered: ask for the list, and call for each of its items";
    return promiseOf(new BrokenRef(new FlotillaError("unimplemented", message)));
  },
  toString(this: unknown) {
    return rawOf(this)?.isPromise ? "[object RpcPromise]" : "[object RpcStub]";
  },
};

/** One listener's fault is not the next one's. */
function quietly(hear: OnBroken, error: FlotillaError): void {
  try {
    hear(error);
  } catch (fault) {
    queueMicrotask(() => {
      throw fault;
    });
  }
}

/** Makes the ref of a value of this process. target.ts sets it, because importing it here would be a cycle. */
let refOf: (value: unknown) => Ref;
export function setRefOf(make: typeof refOf): void {
  refOf = make;
}

class StubClass extends TargetClass {
  constructor(value: unknown, make: (ref: Ref) => object = stubOf) {
    super();
    // biome-ignore lint/correctness/noConstructorReturn: a stub is a Proxy.
    return make(refOf(value)) as StubClass;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return rawOf(value) !== undefined;
  }
}

class PromiseClass extends StubClass {
  constructor(value: PromiseLike<unknown>) {
    super(value, promiseOf);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return rawOf(value)?.isPromise === true;
  }
}

/** A stub of an object of this process: it can be passed on, dup'd and disposed like one of a peer's. */
export type RpcStub<T> = StubOf<T>;
export const RpcStub: { new <T>(value: T): RpcStub<T> } = StubClass as never;

/**
 * A promise that can be called before it is there: the calls go out when it resolves, or fail with it. It owns what it
 * resolves to.
 */
export type RpcPromise<T> = PromiseOf<T>;
export const RpcPromise: { new <T>(value: PromiseLike<T | RpcStub<T>>): RpcPromise<T> } = PromiseClass as never;
