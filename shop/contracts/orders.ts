import { arg, contract, type Introduction, introductionTo, optional, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";
import { type AuditPage, AuditQuery } from "./audit.ts";
import type { User } from "./users.ts";

export interface Item {
  /** 1 to 100 characters. */
  readonly name: string;
  /** 1 to 10,000. */
  readonly quantity: number;
  /** Of one piece, 0 to 1,000,000, at most two decimals. */
  readonly price: number;
}

export interface OrderEntry {
  readonly orderId: string;
  readonly total: number;
  readonly status: string;
}

/** Which of somebody's orders are listed. */
export interface OrderPage {
  /** 1 to 1,000, which is also the default. */
  readonly limit?: number;
  /** The id of an order: only older ones are listed. */
  readonly before?: string;
}

/** An order in a list of everybody's. */
export interface ListedOrder extends OrderEntry {
  /** The customer who placed it. */
  readonly userId: string;
}

/** Which of everybody's orders are listed. */
export interface AllOrdersPage extends OrderPage {
  /** The id of a user: only this user's orders are listed. */
  readonly userId?: string;
}

export interface CreatedOrder extends OrderEntry {
  readonly items: Item[];
}

export interface ViewedOrder extends CreatedOrder {
  /** Whose it is. */
  readonly userId: string;
}

export interface CancelledOrder {
  readonly orderId: string;
  readonly status: string;
}

/** One order. */
export interface Order extends RpcTarget {
  getId(): string;
  getUserId(): string;
  getTotal(): number;
  getStatus(): string;
  /** Needs `order.cancel` of the user it is given, and may cancel anybody's order, as specified. */
  cancel(user: Introduction<User>): CancelledOrder;
}

/** What the gateway is given. Who acts is always an introduction: never a token, never an id. */
export interface OrderService extends RpcTarget {
  /** Needs `order.create`. Repeated with the same key it is the same order. */
  createOrder(user: Introduction<User>, items: Item[], idempotencyKey?: string): CreatedOrder;
  /** Needs `order.view`: of the user's own orders the newest before `page.before`, oldest first. */
  listOrders(user: Introduction<User>, page?: OrderPage): OrderEntry[];
  /**
   * Needs `order.view` and `order.cancel`: the newest orders of all users, or of `page.userId`, before `page.before`,
   * oldest first. Every call leaves an entry in the trail.
   */
  listAllOrders(user: Introduction<User>, page?: AllOrdersPage): ListedOrder[];
  /**
   * Needs `order.view` for one's own order; anybody's needs `order.cancel` too: who may cancel it may look at it first.
   * Another's order is `not_found` otherwise, as one that does not exist.
   */
  viewOrder(id: string, user: Introduction<User>): ViewedOrder;
  /** Needs `order.cancel`, checked before the order is looked for. Cancelling twice is no error. */
  cancelOrder(id: string, user: Introduction<User>): CancelledOrder;
  /** Throws `not_found`. */
  getOrder(id: string): Order;
  /** Needs `system.admin`. Who cancelled or looked at whose order, and who was refused; newest first. */
  audit(user: Introduction<User>, page?: AuditQuery): AuditPage;
}

export const Items = arg(
  "items",
  Type.Array(
    Type.Object(
      {
        name: Type.String({ minLength: 1, maxLength: 100 }),
        quantity: Type.Integer({ minimum: 1, maximum: 10_000 }),
        price: Type.Number({ minimum: 0, maximum: 1_000_000 }),
      },
      { additionalProperties: false },
    ),
    { minItems: 1, maxItems: 100 },
  ),
);

const orderIdSchema = Type.String({ minLength: 1, maxLength: 32 });
export const OrderId = arg("orderId", orderIdSchema);
const pageFields = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  before: Type.Optional(orderIdSchema),
} as const;
export const Page = arg("page", Type.Object(pageFields, { additionalProperties: false }));
export const AllOrdersPage = arg(
  "page",
  Type.Object(
    { ...pageFields, userId: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })) },
    { additionalProperties: false },
  ),
);
/** Chosen by the client, so that a call whose answer was lost can be repeated. Printable ASCII without spaces. */
export const IdempotencyKey = arg("idempotencyKey", Type.String({ pattern: "^[!-~]{1,128}$" }));

const Buyer = introductionTo<User>("user");

export const OrderContract = contract<Order>("Order", {
  getId: { params: [] },
  getUserId: { params: [] },
  getTotal: { params: [] },
  getStatus: { params: [] },
  cancel: { params: [Buyer] },
});

export const OrderServiceContract = contract<OrderService>("OrderService", {
  createOrder: { params: [Buyer, Items, optional(IdempotencyKey)] },
  listOrders: { params: [Buyer, optional(Page)] },
  listAllOrders: { params: [Buyer, optional(AllOrdersPage)] },
  viewOrder: { params: [OrderId, Buyer] },
  cancelOrder: { params: [OrderId, Buyer] },
  getOrder: { params: [OrderId], returns: OrderContract },
  audit: { params: [Buyer, optional(AuditQuery)] },
});
