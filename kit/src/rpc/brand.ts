import { toFlotillaError } from "../base/errors.ts";
import { tellHidden } from "./hidden.ts";

/** Known to every copy of this package, so that an object of one is a target for the other. */
export const brand: unique symbol = Symbol.for("flotilla.rpc-target") as never;

/** Whether `value` extends `RpcTarget`, or is a stub. */
export function isTarget(value: unknown): value is object {
  return value !== null && (typeof value === "object" || typeof value === "function") && brand in value;
}

export function disposeTarget(target: object): void {
  if (!(Symbol.dispose in target)) return;
  try {
    (target as Disposable)[Symbol.dispose]();
  } catch (fault) {
    // A fault of the object, which fails no call.
    tellHidden(undefined, toFlotillaError(fault));
  }
}

/** Deeper values of this process are a fault: no peer of ours would take them. */
export const depthMax = 64;

/** Disposes the objects in `value` that are not in `taken`; stubs are their holder's to dispose. */
export function disposeTargets(value: unknown, taken: ReadonlyMap<object, unknown>, depth = 0): void {
  if (value === null || typeof value !== "object" || depth > depthMax) return;
  if (!isTarget(value)) for (const item of Object.values(value)) disposeTargets(item, taken, depth + 1);
  else if (!taken.has(value)) disposeTarget(value);
}
