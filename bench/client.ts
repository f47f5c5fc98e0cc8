import type { CreatedOrder, Item } from "./work.ts";

/** What a system's `client.ts` opens: whatever one would use to keep many calls under way. */
export interface Client {
  /** @returns the token. */
  login(username: string, password: string): Promise<string>;
  createOrder(token: string, items: readonly Item[], idempotencyKey: string): Promise<CreatedOrder>;
  close(): Promise<void>;
}

/** What `client.ts` exports as `open`. `clients` is how many calls will be under way at once. */
export type OpenClient = (gatewayAddress: string, clients: number) => Promise<Client>;
