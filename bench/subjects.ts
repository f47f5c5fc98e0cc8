// What the micro-benchmark does again and again: calls, introductions and orders, each with one mechanism more than another.
import {
  arg,
  connect,
  contract,
  type Gifted,
  type Home,
  type HomeLink,
  type Introducible,
  type Introduction,
  introduce,
  introducible,
  introductionTo,
  linkLimits,
  makeHome,
  makeLoans,
  makeMemoryLink,
  openSession,
  type RpcStub,
  type RpcTarget,
  type ServicePeer,
  serve,
} from "@flotilla/kit";
import { RpcSession, RpcTarget as StockTarget } from "capnweb";
import { Type } from "typebox";
import type { OrderStore } from "../shop/orders/store.ts";
import { type CreatedOrder, type Item, items, total } from "./work.ts";

export interface Subject extends AsyncDisposable {
  run(): Promise<unknown>;
}

/** An order, as the Order Service is asked for it; any text stands for the introduction. */
interface Desk extends RpcTarget {
  hasPermission(permission: string): boolean;
  createOrder(user: string, ordered: Item[], idempotencyKey: string): CreatedOrder;
}
const ItemSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100 }),
    quantity: Type.Integer({ minimum: 1, maximum: 10_000 }),
    price: Type.Number({ minimum: 0, maximum: 1_000_000 }),
  },
  { additionalProperties: false },
);
const DeskContract = contract<Desk>("Desk", {
  hasPermission: { params: [arg("permission", Type.String({ maxLength: 64 }))] },
  createOrder: {
    params: [
      arg("user", Type.String({ maxLength: 100 })),
      arg("items", Type.Array(ItemSchema, { minItems: 1, maxItems: 100 })),
      arg("idempotencyKey", Type.String({ pattern: "^[!-~]{1,128}$" })),
    ],
  },
});

const answer = (ordered: Item[]): CreatedOrder => ({ orderId: "order1", total, status: "pending", items: ordered });
/** What stock Cap'n Web calls without anything between. */
export class BareDesk extends StockTarget {
  async hasPermission(): Promise<boolean> {
    return true;
  }
  async createOrder(_user: string, ordered: Item[]): Promise<CreatedOrder> {
    return answer(ordered);
  }
}

const peer = (name: string): ServicePeer => ({ kind: "service", name, instance: `${name}-0`.padEnd(16, "0") });
/** The same behind a boundary, for the gateway. */
export const checkedDesk = () => makeHome({ name: "orders" }).main(DeskContract, new BareDesk(), peer("gateway"));

type Ask = (main: RpcStub<Desk>) => Promise<unknown>;
export const order: Ask = (main) => main.createOrder("a-user-of-forty-three-characters-as-it-is-", [...items], "key");
export const question: Ask = (main) => main.hasPermission("order.create");

export function stockCalls(ask: Ask): Subject {
  const [near, far] = makeStockLink();
  new RpcSession(far, new BareDesk());
  const main = new RpcSession<Desk>(near).getRemoteMain();
  return {
    run: () => ask(main as unknown as RpcStub<Desk>),
    [Symbol.asyncDispose]: async () => main[Symbol.dispose](),
  };
}

/** Text from one to the other, all of a turn at once, and nothing else. */
function makeStockLink() {
  const makeEnd = () => {
    const arrived: string[] = [];
    let waiting: ((message: string) => void) | undefined;
    let unsent: string[] = [];
    const end = {
      peer: undefined as { take(messages: readonly string[]): void } | undefined,
      async send(message: string): Promise<void> {
        if (unsent.length === 0) {
          setImmediate(() => {
            end.peer?.take(unsent);
            unsent = [];
          });
        }
        unsent.push(message);
      },
      receive: (): Promise<string> =>
        arrived.length > 0
          ? Promise.resolve(arrived.shift()!)
          : new Promise((resolve) => {
              waiting = resolve;
            }),
      take(messages: readonly string[]): void {
        for (const message of messages) {
          if (waiting) waiting(message);
          else arrived.push(message);
          waiting = undefined;
        }
      },
    };
    return end;
  };
  const [near, far] = [makeEnd(), makeEnd()];
  near.peer = far;
  far.peer = near;
  return [near, far] as const;
}

/** A session of one of our services with another, over a link in memory. */
function linkTo(main: RpcTarget, from: string): { remote: RpcStub<RpcTarget>; close(): void } {
  const { left, right, cut } = makeMemoryLink();
  openSession(right, { limits: linkLimits, localMain: main, callers: { keepCallers: true, peerName: from } });
  const near = openSession(left, { limits: linkLimits, callers: { keepCallers: true, peerName: undefined } });
  return { remote: near.remoteMain, close: cut };
}

export function kitCalls(ask: Ask, desk: RpcTarget): Subject {
  const link = linkTo(desk, "gateway");
  const main = link.remote as RpcStub<RpcTarget> as RpcStub<Desk>;
  return { run: () => ask(main), [Symbol.asyncDispose]: async () => link.close() };
}

export async function socketCalls(ask: Ask): Promise<Subject> {
  const server = await serve({ name: "orders", port: 0, edge: linkLimits, main: () => checkedDesk() });
  const connection = connect<Desk>({ name: "orders", url: server.url });
  await connection.opened();
  return {
    run: () => ask(connection.main),
    async [Symbol.asyncDispose]() {
      connection.close();
      await server.drain();
    },
  };
}

interface Person extends RpcTarget {
  getId(): string;
  hasPermission(permission: string): boolean;
}
interface People extends RpcTarget {
  person(): Person & Introducible;
}
interface Counter extends RpcTarget {
  order(user: Introduction<Person>, ordered: Item[]): CreatedOrder;
}
const PersonContract = contract<Person>("Person", {
  getId: { params: [] },
  hasPermission: { params: [arg("permission", Type.String({ maxLength: 64 }))] },
});
const PeopleContract = contract<People>("People", { person: { params: [], returns: introducible(PersonContract) } });
const CounterContract = contract<Counter>("Counter", {
  order: {
    params: [introductionTo<Person>("user"), arg("items", Type.Array(ItemSchema, { minItems: 1, maxItems: 100 }))],
  },
});

/** A person of `people` is introduced by `gateway` to `counter`, which asks them whether they may. */
export function introductions({ areReused }: { areReused: boolean }): Subject {
  const people = makeHome({ name: "people" });
  const counter = makeHome({ name: "counter" });
  const person = { getId: () => "user2", hasPermission: async () => true };
  const mainOfPeople = (from: string) => people.main(PeopleContract, { person: () => ({ ...person }) }, peer(from));
  const toPeople = linkTo(mainOfPeople("gateway"), "gateway");
  const counterToPeople = linkTo(mainOfPeople("counter"), "counter");
  const loans = makeLoans({ from: homeLink(people, counterToPeople.remote) });
  const service = {
    order: (user: Introduction<Person>, ordered: Item[]) =>
      loans.with(user, async ({ capability, constant }) => {
        const [, mayOrder] = await Promise.all([constant("getId"), capability.hasPermission("order.create")]);
        if (!mayOrder) throw new Error("They may");
        return answer(ordered);
      }),
  };
  const toCounter = linkTo(counter.main(CounterContract, service, peer("gateway")), "gateway");
  const at = toCounter.remote as RpcStub<RpcTarget> as RpcStub<Counter>;
  const from = homeLink(people, toPeople.remote);
  const introduceOne = (): Gifted<Person> => {
    using user = (toPeople.remote as RpcStub<RpcTarget> as RpcStub<People>).person();
    return introduce<Person>(user, { from, to: "counter" });
  };
  const kept = areReused ? introduceOne() : undefined;
  return {
    async run() {
      const gift = kept ?? introduceOne();
      const placed = await gift.answer(at.order(gift.value, [...items]));
      if (gift !== kept) gift[Symbol.dispose]();
      return placed;
    },
    async [Symbol.asyncDispose]() {
      kept?.[Symbol.dispose]();
      loans[Symbol.dispose]();
      for (const link of [toCounter, toPeople, counterToPeople]) link.close();
    },
  };
}

function homeLink({ name, instance }: Home, main: RpcStub<RpcTarget>): HomeLink {
  const link: HomeLink = {
    name,
    instance,
    isAnonymous: false,
    main,
    opened: async () => {},
    sessionNumber: 1,
    at: (run) => (run === instance ? link : undefined),
  };
  return link;
}

export function stores(store: OrderStore): Subject {
  const lines = items.map(({ name, quantity, price }) => ({ name, quantity, priceMinor: Math.round(price * 100) }));
  return {
    run: () =>
      store.place({
        userId: "user2",
        lines,
        totalMinor: Math.round(total * 100),
        createdAtMs: Date.now(),
        idempotency: {
          scope: "user2",
          key: crypto.randomUUID(),
          requestHash: "a-hash-of-forty-three-characters-as-it-is",
        },
      }),
    [Symbol.asyncDispose]: async () => store.close(),
  };
}
