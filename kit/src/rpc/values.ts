import { FlotillaError } from "../base/errors.ts";
import { depthMax } from "./brand.ts";
import type { Outcome, Path, Ref } from "./ref.ts";
import { promiseOf, type Raw, RpcTarget, rawOf, stubOf } from "./stub.ts";
import {
  assertNoForeignStub,
  inside,
  isStream,
  Unsendable,
  unsendableArgument,
  unsendableObject,
} from "./unsendable.ts";

/** A place inside of a value where a result belongs that is not there yet. */
export interface Hole {
  readonly parent: Parent;
  readonly key: string | number;
  /** Owned by the hole. */
  readonly ref: Ref;
}

interface Filling extends Pick<Outcome, "fail"> {
  ok(): void;
  /** Hears of each value before it is copied. @throws FlotillaError when it is one too many. */
  copying?(value: unknown): void;
}

/**
 * Asks for what the holes of a value wait for, puts it there, and tells `outcome`, once; `stubs` gets what came with it.
 * After a failure nothing is put anywhere any more.
 */
export function fill(holes: readonly Hole[], stubs: Raw[], outcome: Filling): void {
  let left = holes.length;
  let hasFailed = false;
  const put = ({ parent, key }: Hole, value: unknown) => {
    try {
      outcome.copying?.(value);
      parent[key] = dupValue(value, stubs);
    } catch (error) {
      hasFailed = true;
      outcome.fail(error);
    }
  };
  if (left === 0) outcome.ok();
  for (const hole of holes) {
    const { ref } = hole;
    ref.pull({
      ok(value) {
        if (!hasFailed) put(hole, value);
        // A capability gives each puller a new stub; a result lends the one it keeps.
        if (!ref.isResult) disposeValue(value);
        ref.dispose();
        left -= 1;
        if (left === 0 && !hasFailed) outcome.ok();
      },
      fail(error) {
        ref.dispose();
        if (!hasFailed) outcome.fail(error);
        hasFailed = true;
      },
    });
  }
}

/** How many values `value` is; counts no further than `max`. */
export function countValues(value: unknown, max: number): number {
  if (value === null || typeof value !== "object") return 1;
  const items = Array.isArray(value) ? value : isPlainObject(value) ? Object.values(value) : [];
  let count = 1;
  for (const item of items) {
    if (count > max) break;
    count += countValues(item, max - count);
  }
  return count;
}

/** A plain object, as JSON has them; one without a prototype, such as a row of a database, is one too. */
export function isPlainObject(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Ends every stub in `value`, which holds no other capabilities. */
export function disposeValue(value: unknown): void {
  if (typeof value === "function") rawOf(value)?.dispose();
  else if (value !== null && typeof value === "object") {
    for (const item of Array.isArray(value) ? value : isPlainObject(value) ? Object.values(value) : []) {
      disposeValue(item);
    }
  }
}

/** Another of `value`, which is data, with stubs of its own, which `stubs` gets too. */
export function dupValue(value: unknown, stubs?: Raw[]): unknown {
  return copyOf(value, (it) => {
    const raw = rawOf(it);
    if (!raw) throw new TypeError(`A ${typeof it} is no data`);
    return keep(stubOf(raw.hold()), stubs);
  });
}

/** Arguments that are sent later: what they hold lives until then. */
export function holdArguments(args: readonly unknown[], stubs: Raw[]): readonly unknown[] {
  return copyOf(args, (it) => {
    const raw = rawOf(it);
    if (!raw) return it;
    return keep((raw.isPromise ? promiseOf : stubOf)(raw.hold()), stubs);
  }) as readonly unknown[];
}

/** Where something stands. */
export type Parent = Record<string | number, unknown>;
type Replace = (it: object, parent: Parent, key: string | number) => unknown;

/** A deep copy, in which `replace` decides what stands for functions, targets and stubs. */
export function copyOf(value: unknown, replace: Replace): unknown {
  return copyAt(value, { replace, depth: 0, parent: { value }, key: "value" });
}

interface Place {
  readonly replace: Replace;
  readonly depth: number;
  readonly parent: Parent;
  readonly key: string | number;
}

function copyAt(value: unknown, at: Place): unknown {
  const { replace, depth } = at;
  if (typeof value === "function") {
    if (!rawOf(value)) assertNoForeignStub(value);
    return replace(value, at.parent, at.key);
  }
  if (value === null || typeof value !== "object") return value;
  if (depth > depthMax) throw new Unsendable(`nested deeper than ${depthMax} (or within itself)`);
  const inner = (key: string | number, parent: Parent) => ({ replace, depth: depth + 1, parent, key });
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    for (const [index, item] of value.entries()) {
      try {
        copy.push(copyAt(item, inner(index, copy as unknown as Parent)));
      } catch (error) {
        throw inside(error, `[${index}]`);
      }
    }
    return copy;
  }
  if (isPlainObject(value)) {
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      if (key in Object.prototype) continue;
      try {
        copy[key] = copyAt(value[key], inner(key, copy));
      } catch (error) {
        throw inside(error, `.${key}`);
      }
    }
    return copy;
  }
  return value instanceof RpcTarget || isStream(value) ? replace(value, at.parent, at.key) : leaf(value);
}

/** @returns `value` if its class is passed by value. @throws Unsendable otherwise. */
function leaf(value: object): object {
  if (value instanceof Date || value instanceof Error || value instanceof URL) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value;
  throw unsendableObject(value);
}

/** The error of a call whose arguments `error` kept from being copied. */
export function unpassable(error: unknown): unknown {
  return error instanceof Unsendable ? unsendableArgument(error) : error;
}

function keep(stub: object, stubs: Raw[] | undefined): object {
  stubs?.push(rawOf(stub)!);
  return stub;
}

/** Gives a result that is no stub a disposer: `using` then disposes the stubs in it. */
export function makeDisposable(value: unknown): void {
  if (value === null || typeof value !== "object" || Symbol.dispose in value || !Object.isExtensible(value)) return;
  Object.defineProperty(value, Symbol.dispose, { value: () => disposeValue(value), configurable: true });
}

/** Follows `path` into data, as far as it goes: to a stub and the rest of the path, or to a value. */
export function follow(value: unknown, path: Path): { raw: Raw; rest: Path } | { raw: undefined; value: unknown } {
  let at = value;
  for (let i = 0; i < path.length; i += 1) {
    const raw = rawOf(at);
    if (raw) return { raw, rest: path.slice(i) };
    at = childOf(at, path[i]!);
  }
  const raw = rawOf(at);
  return raw ? { raw, rest: [] } : { raw, value: at };
}

function childOf(value: unknown, key: string | number): unknown {
  if (value === null || typeof value !== "object") {
    if (value === undefined) throw noSuchMember([key]);
    return undefined;
  }
  if (Array.isArray(value)) return Number.isInteger(key) ? value[key as number] : undefined;
  if (!isPlainObject(value) || key in Object.prototype || !Object.hasOwn(value, key)) return undefined;
  return value[key];
}

/** Enough of a name to find it in one's own code. Characters. */
const nameCharsMax = 64;

/** For a method or a property that does not exist for a peer. */
export function noSuchMember(path: Path): FlotillaError {
  const asked = path
    .join(".")
    .slice(0, nameCharsMax)
    .replace(/[^\x20-\x7e]/g, "?");
  return new FlotillaError("unimplemented", asked === "" ? "No such method" : `No such method: ${asked}`);
}
