/** Marks a capability that ends by itself: milliseconds since the epoch, on the wall clock. */
const key = Symbol("flotilla.expiresAtMs");

/**
 * Lets `implementation` end at `atMs` (milliseconds since the epoch): from then on its boundary refuses every call with
 * `permission_denied`, reason `expired`, and no introduction to it lives longer.
 */
export function expiring<T extends object>(implementation: T, atMs: number): T {
  return Object.defineProperty(implementation, key, { value: atMs });
}

export function expiresAt(implementation: object): number | undefined {
  return (implementation as { readonly [key]?: number })[key];
}
