import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, connect, type ErrorCode, hasCode, type RpcStub } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";

/** A steady, mixed load, as many people make it who come and go. */
export interface Load extends Disposable {
  /** Calls that were answered, and those refused as they should be. */
  readonly calls: number;
  /** Errors that nobody meant to get, by code. */
  readonly errors: ReadonlyMap<string, number>;
  /** No further calls; everybody logs out and goes. Resolves when all are answered. */
  finish(): Promise<void>;
}

export interface LoadOptions {
  readonly url: string;
  readonly random: () => number;
  /** Steps each second, of one or two calls. */
  readonly perSecond: number;
}

type Account = RpcStub<ReturnType<Gateway["account"]>>;

/** People who are connected; each has a login, and an account that is held. */
const peopleMax = 20;
/** Between two rounds of steps. Milliseconds. */
const roundMs = 100;
const names = ["alice", "bob", "charlie"];

interface Person {
  readonly connection: Connection<Gateway>;
  readonly token: string;
  readonly account: Account;
}

export function makeLoad({ url, random, perSecond }: LoadOptions): Load {
  const people: Person[] = [];
  const errors = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  let calls = 0;
  let isOver = false;
  const rounds = run();
  rounds.catch(() => {});

  return {
    get calls() {
      return calls;
    },
    errors,
    async finish() {
      isOver = true;
      await rounds;
      await Promise.all(underWay);
      await Promise.allSettled(people.splice(0).map(leave));
    },
    [Symbol.dispose]() {
      isOver = true;
      for (const { connection } of people) connection.close();
    },
  };

  async function run(): Promise<void> {
    while (people.length < peopleMax) people.push(await come());
    const perRound = (perSecond * roundMs) / 1_000;
    for (let due = 0; !isOver; due = (due % 1) + perRound) {
      for (let n = 1; n <= due; n += 1) {
        const step = takeStep()
          .catch(count)
          .finally(() => underWay.delete(step));
        underWay.add(step);
      }
      await sleep(roundMs);
    }
  }

  function count(error: unknown): void {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    errors.set(code, (errors.get(code) ?? 0) + 1);
  }

  async function come(): Promise<Person> {
    const connection = connect<Gateway>({ name: "gateway", url });
    try {
      const { token } = await connection.main.login(pick(names), "password");
      const account = await connection.main.account(token);
      calls += 2;
      return { connection, token, account: account as unknown as Account };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async function leave({ connection, token, account }: Person): Promise<void> {
    account[Symbol.dispose]();
    try {
      await connection.main.logout(token);
      calls += 1;
    } finally {
      connection.close();
    }
  }

  async function takeStep(): Promise<void> {
    const person = pick(people);
    const { connection, token, account } = person;
    const { main } = connection;
    const chance = random() * 1_000;
    const items = [{ name: "Laptop", quantity: 1 + Math.floor(random() * 5), price: 9.99 }];
    if (chance < 550) await main.createOrder(token, items, crypto.randomUUID());
    else if (chance < 700) await account.createOrder(items);
    else if (chance < 800) await main.listOrders(token, { limit: 20 });
    else if (chance < 850) await account.orders({ limit: 20 });
    else if (chance < 900) await account.profile();
    else if (chance < 940) await cancelOne(main, token, items);
    else if (chance < 996) await sendNonsense(main, token);
    else await replace(person);
    calls += 1;
  }

  async function cancelOne(
    main: RpcStub<Gateway>,
    token: string,
    items: { name: string; quantity: number; price: number }[],
  ) {
    const { orderId } = await main.createOrder(token, items);
    await refused(main.cancelOrder(token, orderId), ["permission_denied"]);
  }

  async function sendNonsense(main: RpcStub<Gateway>, token: string): Promise<void> {
    const nonsense = [
      () => main.createOrder(token, [{ name: "", quantity: -1, price: Number.NaN }]),
      () => main.createOrder("no token", [{ name: "Laptop", quantity: 1, price: 1 }]),
      () => main.getOrder(token, "order999999999"),
      () => (main as unknown as { drop(table: string): Promise<never> }).drop("orders"),
    ];
    await refused(pick(nonsense)(), ["invalid_argument", "unauthenticated", "not_found", "unimplemented"]);
  }

  /** Somebody goes, and somebody else comes. */
  async function replace(person: Person): Promise<void> {
    const at = people.indexOf(person);
    if (at < 0 || isOver) return;
    const next = await come();
    // Somebody else may have had the same in mind.
    if (people[at] !== person) {
      await leave(next);
      return;
    }
    people[at] = next;
    // What others have begun with it may still be under way: they hear of their answers first.
    await sleep(2_000);
    // Few are just gone: what they held at the gateway is ended by time, after 15 minutes.
    if (random() < 0.95) await leave(person);
    else person.connection.close();
  }

  function pick<T>(from: readonly T[]): T {
    return from[Math.floor(random() * from.length)]!;
  }
}

/** Done or refused with one of `codes`; anything else is thrown. */
async function refused(call: PromiseLike<unknown>, codes: readonly ErrorCode[]): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!codes.some((code) => hasCode(error, code))) throw error;
  }
}
