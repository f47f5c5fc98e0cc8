/** `store`, telling `onUse` of each call, in the caller's context. */
export function hearing<S extends object>(store: S, onUse: () => void): S {
  const wrapped: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(store) as [string, (...args: unknown[]) => unknown][]) {
    wrapped[name] = (...args: unknown[]) => {
      onUse();
      return method(...args);
    };
  }
  return wrapped as S;
}
