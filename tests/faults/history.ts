import type { OrderEntry } from "../../shop/contracts/orders.ts";

/** One order that somebody means to place, and what they have heard of it. */
export interface Intent {
  /** From 1 on. Its order costs so many cents, so that it is known by its total wherever it is listed. */
  readonly number: number;
  readonly startedAtMs: number;
  /** Undefined as long as nobody knows whether it was placed. */
  acknowledged?: { readonly orderId: string; readonly atMs: number };
  attempts: number;
}

/** What clients asked for and heard, on one monotonic clock. */
export interface History {
  readonly intents: readonly Intent[];
  /** Errors by code, each once for every attempt it ended; without `resource_exhausted`, which is no fault. */
  readonly errors: ReadonlyMap<string, number>;
}

/**
 * What is wrong with `stored`, all of the user's orders, if `history` is all that the user ever asked for: the first two
 * invariants of ARCHITECTURE.md. Empty when nothing is.
 */
export function violations({ intents }: History, stored: readonly OrderEntry[]): string[] {
  const found: string[] = [];
  const idsOf = new Map<number, string[]>();
  for (const { orderId, total } of stored) {
    const number = Math.round(total * 100);
    idsOf.set(number, [...(idsOf.get(number) ?? []), orderId]);
  }
  if (new Set(stored.map(({ orderId }) => orderId)).size < stored.length) found.push("an id is listed twice");
  for (const { number, acknowledged } of intents) {
    const ids = idsOf.get(number) ?? [];
    idsOf.delete(number);
    if (ids.length > 1) found.push(`order ${number} was placed ${ids.length} times: ${ids.join(", ")}`);
    if (acknowledged && ids.length === 0)
      found.push(`order ${number} was acknowledged as ${acknowledged.orderId}, and is lost`);
    if (acknowledged && ids.length === 1 && ids[0] !== acknowledged.orderId) {
      found.push(`order ${number} was acknowledged as ${acknowledged.orderId}, and is ${ids[0]}`);
    }
  }
  for (const number of idsOf.keys()) found.push(`order ${number} was placed, and nobody asked for it`);
  return found;
}

/** Of `values` the one that a share of them, from 0 to 1, does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
