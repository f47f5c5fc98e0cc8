/**
 * The peer's capabilities and pipes named in an expression that is not read, each as often as it is named. Walks without recursion: a
 * hostile nesting must not become a stack overflow.
 */
export function givenIn(expression: unknown): number[] {
  const ids: number[] = [];
  const left = [expression];
  while (left.length > 0) {
    const value = left.pop();
    if (value === null || typeof value !== "object") continue;
    if (!Array.isArray(value)) {
      for (const item of Object.values(value)) left.push(item);
      continue;
    }
    const [tag, id] = value as unknown[];
    const isGift = tag === "export" || tag === "promise" || tag === "writable";
    const isGiven =
      Number.isSafeInteger(id) && (isGift ? (id as number) < 0 : tag === "readable" && (id as number) > 0);
    if (isGiven) ids.push(id as number);
    else for (const item of expressionsIn(value)) left.push(item);
  }
  return ids;
}

/** The expressions in an array: it may be the peer's data, and a path is none. */
function expressionsIn(array: readonly unknown[]): readonly unknown[] {
  const [tag] = array;
  if (array.length === 1 && Array.isArray(tag)) return tag as unknown[];
  const isReference = tag === "pipeline" || tag === "import" || tag === "remap";
  return isReference ? array.slice(3).flat() : array;
}

const capabilities: ReadonlySet<unknown> = new Set(["export", "import", "pipeline", "promise", "remap", "writable"]);

/** Whether an expression comes to a capability, or may do so. */
export function isCapability(expression: unknown): boolean {
  return Array.isArray(expression) && capabilities.has(expression[0]);
}
