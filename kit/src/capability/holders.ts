/**
 * How many boundaries and caretakers stand around an implementation: that one of them is released is no sign that nobody
 * holds another.
 */
const holders = new WeakMap<object, number>();

export function hold(implementation: object): void {
  holders.set(implementation, (holders.get(implementation) ?? 0) + 1);
}

export function isHeld(implementation: object): boolean {
  return holders.has(implementation);
}

/** Ends one `hold`; the last disposes `implementation`, if it can be. Throws what its disposer throws. */
export function letGo(implementation: object): void {
  const left = (holders.get(implementation) ?? 1) - 1;
  if (left > 0) {
    holders.set(implementation, left);
    return;
  }
  holders.delete(implementation);
  if (isDisposable(implementation)) implementation[Symbol.dispose]();
}

export function isDisposable(value: unknown): value is Disposable {
  return value !== null && (typeof value === "object" || typeof value === "function") && Symbol.dispose in value;
}
