import type { OrderEntry } from "../contracts/orders.ts";

/** Orders shown of a long list: the newest. */
const ordersShownMax = 10;

export function money(amount: number): string {
  return `$${amount.toFixed(2)}`;
}

/** SECURITY: a token opens the account; enough of it is shown to tell two apart. All begin alike, so it is the end. */
export function shortened(token: string): string {
  return `…${token.slice(-8)}`;
}

export function success(text: string): string {
  return `   ✓ ${text}`;
}

export function failure(text: string): string {
  return `   ✗ ${text}`;
}

/** The list as lines, oldest first; of a long one the end. */
export function orderLines(orders: readonly OrderEntry[]): string[] {
  const more = orders.length - ordersShownMax;
  return [
    `   Found ${orders.length} order(s):`,
    ...(more > 0 ? [`     ... and ${more} more`] : []),
    ...orders.slice(-ordersShownMax).map((it) => `     - ${it.orderId}: ${money(it.total)} (${it.status})`),
  ];
}

/** What went wrong, in one line for a person: `fetch failed` alone would not say that nobody listens. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return cause ? `${error.message}: ${cause}` : error.message;
}
