import { hash, randomUUID } from "node:crypto";
import {
  type Clock,
  FlotillaError,
  type Home,
  type Implementation,
  type Introduction,
  type Loans,
  type Peer,
  type RpcTarget,
} from "@flotilla/kit";
import type { AuditPage, AuditQuery } from "../contracts/audit.ts";
import {
  type AllOrdersPage,
  type CancelledOrder,
  type CreatedOrder,
  type Item,
  type ListedOrder,
  type Order as OrderCapability,
  type OrderEntry,
  type OrderPage,
  type OrderService,
  OrderServiceContract,
  type ViewedOrder,
} from "../contracts/orders.ts";
import type { User } from "../contracts/users.ts";
import { actorNow, auditPage } from "../service/audit.ts";
import { toMajor } from "./money.ts";
import { type Order, type OrderLine, type OrderSummary, priceOrder } from "./order.ts";
import type { OrderStore } from "./store.ts";

export interface OrderDeps {
  readonly clock: Clock;
  readonly store: OrderStore;
  /** What the User Service lends us of the users who are introduced. */
  readonly users: Loans;
}

const viewRefusal = "You don't have permission to view orders";

/** Only the gateway is served: it introduces, and it may look at an order by its id. */
export function orderServiceFor(peer: Peer, home: Home, deps: OrderDeps): RpcTarget | undefined {
  if (peer.kind !== "service" || peer.name !== "gateway") return undefined;
  return home.main(OrderServiceContract, new OrderServiceTarget(deps), peer);
}

class OrderServiceTarget implements Implementation<OrderService> {
  readonly #deps: OrderDeps;

  constructor(deps: OrderDeps) {
    this.#deps = deps;
  }

  async createOrder(user: Introduction<User>, items: Item[], idempotencyKey?: string): Promise<CreatedOrder> {
    const { clock, store } = this.#deps;
    // Before anything is asked of anybody: what is wrong with the items is wrong for everyone.
    const { lines, totalMinor } = priceOrder(items);
    const userId = await authorise(user, this.#deps, {
      permission: "order.create",
      refusal: "You don't have permission to create orders",
    });
    const { order } = await store.place({
      userId,
      lines,
      totalMinor,
      createdAtMs: clock.now(),
      idempotency: {
        key: idempotencyKey ?? randomUUID(),
        scope: `${userId} createOrder`,
        requestHash: hashOf(lines),
      },
    });
    return { ...toEntry(order), items: order.lines.map(toItem) };
  }

  async listOrders(user: Introduction<User>, page?: OrderPage): Promise<OrderEntry[]> {
    const userId = await authorise(user, this.#deps, { permission: "order.view", refusal: viewRefusal });
    return (await this.#deps.store.listByUser(userId, page)).map(toEntry);
  }

  async listAllOrders(user: Introduction<User>, page: AllOrdersPage = {}): Promise<ListedOrder[]> {
    const { clock, store } = this.#deps;
    const viewerId = await authorise(
      user,
      this.#deps,
      { permission: "order.view", refusal: viewRefusal },
      { permission: "order.cancel", refusal: "You don't have permission to view others' orders" },
    );
    const { userId, ...options } = page;
    // First the trail: nothing is shown that it does not have.
    if (userId !== viewerId) await store.noteListing(userId, actorNow(clock, { accountId: viewerId }));
    const listed = await (userId === undefined ? store.listAll(options) : store.listByUser(userId, options));
    return listed.map((order) => ({ ...toEntry(order), userId: order.userId }));
  }

  async viewOrder(id: string, user: Introduction<User>): Promise<ViewedOrder> {
    const { clock, store, users } = this.#deps;
    const [viewerId, mayView, mayCancel] = await users.with(user, (viewer) =>
      Promise.all([
        viewer.constant("getId"),
        viewer.standing("hasPermission", "order.view"),
        viewer.standing("hasPermission", "order.cancel"),
      ]),
    );
    const by = actorNow(clock, { accountId: viewerId });
    if (!mayView) {
      await store.refuse("order.view", by);
      throw new FlotillaError("permission_denied", viewRefusal);
    }
    const order = await store.byId(id);
    if (!order || (order.userId !== viewerId && !mayCancel)) throw notFound();
    if (order.userId !== viewerId) await store.noteView(order, by);
    return { ...toEntry(order), items: order.lines.map(toItem), userId: order.userId };
  }

  async audit(user: Introduction<User>, query: AuditQuery = {}): Promise<AuditPage> {
    const { clock, store } = this.#deps;
    await authorise(user, this.#deps, {
      permission: "system.admin",
      refusal: "You don't have permission to read the audit trail",
    });
    return await auditPage(store, query, clock);
  }

  cancelOrder(id: string, user: Introduction<User>): Promise<CancelledOrder> {
    return cancelOrder(id, user, this.#deps);
  }

  async getOrder(id: string): Promise<OrderTarget> {
    const { clock, store } = this.#deps;
    const order = await store.byId(id);
    if (!order) throw notFound();
    // By the gateway itself: no user is named to us.
    await store.noteView(order, actorNow(clock));
    return new OrderTarget(order, this.#deps);
  }
}

/** The Order capability. */
class OrderTarget implements Implementation<OrderCapability> {
  readonly #order: Order;
  readonly #deps: OrderDeps;

  constructor(order: Order, deps: OrderDeps) {
    this.#order = order;
    this.#deps = deps;
  }

  getId(): string {
    return this.#order.id;
  }

  getUserId(): string {
    return this.#order.userId;
  }

  getTotal(): number {
    return toMajor(this.#order.totalMinor);
  }

  async getStatus(): Promise<string> {
    const order = await this.#deps.store.byId(this.#order.id);
    if (!order) throw notFound();
    return order.status;
  }

  cancel(user: Introduction<User>): Promise<CancelledOrder> {
    return cancelOrder(this.#order.id, user, this.#deps);
  }
}

/** The permission comes first, so that nobody learns by it which orders exist. */
async function cancelOrder(id: string, user: Introduction<User>, deps: OrderDeps): Promise<CancelledOrder> {
  const { clock, store } = deps;
  const accountId = await authorise(user, deps, {
    permission: "order.cancel",
    refusal: "You don't have permission to cancel orders",
  });
  const order = await store.cancel(id, actorNow(clock, { accountId }));
  if (!order) throw notFound();
  return { orderId: order.id, status: order.status };
}

interface Need {
  readonly permission: string;
  /** Message for a user without the permission. */
  readonly refusal: string;
}

/**
 * Asks the User Service, over our own link to it, whether the introduced user has all that the call needs.
 * @returns the user's id, in the User Service's words and nobody else's.
 */
async function authorise(
  user: Introduction<User>,
  { clock, store, users }: OrderDeps,
  ...needs: readonly Need[]
): Promise<string> {
  const [id, ...areAllowed] = await users.with(user, (buyer) =>
    Promise.all([
      buyer.constant("getId"),
      ...needs.map(({ permission }) => buyer.standing("hasPermission", permission)),
    ] as const),
  );
  const missing = needs.find((_, at) => areAllowed[at] !== true);
  if (missing) {
    await store.refuse(missing.permission, actorNow(clock, { accountId: id }));
    throw new FlotillaError("permission_denied", missing.refusal);
  }
  return id;
}

function notFound(): FlotillaError {
  return new FlotillaError("not_found", "Order not found");
}

function toEntry({ id, totalMinor, status }: OrderSummary): OrderEntry {
  return { orderId: id, total: toMajor(totalMinor), status };
}

function toItem({ name, quantity, priceMinor }: OrderLine): Item {
  return { name, quantity, price: toMajor(priceMinor) };
}

/** Of what was asked for, in one spelling: `1` and `1.00` are the same request. */
function hashOf(lines: readonly OrderLine[]): string {
  const spelled = lines.map(({ name, quantity, priceMinor }) => [name, quantity, priceMinor]);
  return hash("sha256", JSON.stringify(spelled), "base64url");
}
