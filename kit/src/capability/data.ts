/** Deeper results are a bug of ours; capnweb's own bound is 256. */
const depthMax = 64;

/**
 * Proves that what a method returns as data is data. A function or a target in it would be exported as a live
 * capability that no contract guards.
 *
 * @throws TypeError, which the boundary turns into `internal`: the fault is the implementation's, not the caller's.
 */
export function assertData(value: unknown, where: string, depth = 0): void {
  if (value === null) return;
  const type = typeof value;
  if (type === "function" || type === "symbol") throw new TypeError(`${where} returned a ${type} where data belongs`);
  if (type !== "object") return;
  if (depth > depthMax) throw new TypeError(`${where} returned data nested deeper than ${depthMax}`);
  if (value instanceof Date || value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    for (const item of value) assertData(item, where, depth + 1);
    return;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    throw new TypeError(
      `${where} returned a ${(value as object).constructor?.name ?? "bare object"} where data belongs`,
    );
  }
  for (const item of Object.values(value as object)) assertData(item, where, depth + 1);
}
