import { FlotillaError } from "@flotilla/kit";
import type { Actor, AuditReader } from "../service/audit.ts";
import type { StoreFile } from "../service/database.ts";
import type { Order, OrderLine, OrderSummary } from "./order.ts";

export interface NewOrder {
  readonly userId: string;
  /** One to `linesMax`. */
  readonly lines: readonly OrderLine[];
  /** What `priceOrder` computed from `lines`. */
  readonly totalMinor: number;
  /** Milliseconds since the epoch; the store's clock for how long idempotency records are kept. */
  readonly createdAtMs: number;
  readonly idempotency: Idempotency;
}

/** By what a repetition is known. All three are ASCII. */
export interface Idempotency {
  readonly key: string;
  /** Whose key it is: the same key of somebody else is another. */
  readonly scope: string;
  /** Of everything the caller asked for, so that a key used again for something else is noticed. */
  readonly requestHash: string;
}

export interface Placed {
  readonly order: Order;
  /** Whether this repeats an earlier answer; `order` is then as it was acknowledged first. */
  readonly replayed: boolean;
}

export interface ListOptions {
  /** From 1 to `listMax`, which is also the default. */
  readonly limit?: number;
  /** The id of an order: only older ones are listed. */
  readonly before?: string;
}

/** Orders listed at once: a store blocks while it reads, and a thousand are read in about a millisecond. */
export const listMax = 1_000;

/** A repetition is recognised at least this long. Milliseconds. */
export const idempotencyMsMin = 24 * 3_600_000;

/** Old idempotency records removed by one placing: more than one, so that they dwindle, and few, so nobody waits. */
export const recordsPurgedMax = 10;

/** What the Order Service's trail records. Who placed an order, and when, the order itself says. */
export type OrderEvent =
  /** `detail` is the order. */
  | "order_cancelled"
  /** By someone else than its buyer; without an actor, by the gateway in nobody's name. */
  | "order_viewed"
  /** Everybody's, or those of the account that the entry names. */
  | "orders_listed"
  /** `count` of them within one minute; `detail` is the permission that was missing. */
  | "permission_refused";

/**
 * Orders, and the trail of what was done to them. Each method is one whole unit of work: it happens at once or not at all, and is kept when its promise
 * resolves. All reject with `unavailable` when the store cannot be used now.
 */
export interface OrderStore extends AuditReader<OrderEvent>, StoreFile {
  /**
   * Places an order, once per scope and key: a repetition gets the first answer again. Rejects with
   * `already_exists`, reason `idempotency_mismatch`, when the key was used for another request.
   */
  place(order: NewOrder): Promise<Placed>;
  byId(id: string): Promise<Order | undefined>;
  /** The newest `limit` of a user's orders, newest last. Rejects with `invalid_argument` for options out of range. */
  listByUser(userId: string, options?: ListOptions): Promise<OrderSummary[]>;
  /** The same of all users. */
  listAll(options?: ListOptions): Promise<OrderSummary[]>;
  /** The order, cancelled; undefined if there is none. Cancelling again is no error, and leaves no trace. */
  cancel(id: string, by: Actor): Promise<Order | undefined>;
  /** Someone's order is about to be shown to another. When this fails it is not shown. */
  noteView(order: OrderSummary, by: Actor): Promise<void>;
  /** A user lists everybody's orders, or those of another account. */
  noteListing(userId: string | undefined, by: Actor): Promise<void>;
  /** Somebody asked for what `permission` would have allowed. */
  refuse(permission: string, by: Actor): Promise<void>;
  /** How many orders there are. */
  count(): Promise<number>;
  close(): void | Promise<void>;
}

/** The refusals of every `OrderStore`. */
export const refusals = {
  keyUsed: () =>
    new FlotillaError("already_exists", "This idempotency key was used for another request", {
      reason: "idempotency_mismatch",
    }),
  limit: () => new FlotillaError("invalid_argument", `limit is a whole number from 1 to ${listMax}`),
  before: () => new FlotillaError("invalid_argument", "before is the id of an order"),
};
