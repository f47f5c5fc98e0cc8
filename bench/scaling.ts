// What sessions, held capabilities and a user's orders cost as they become many. The shop is run as for the comparison, on
// disk; its memory is read after a collection of garbage.
import { setTimeout as sleep } from "node:timers/promises";
import { FlotillaError, linkLimits, openSession, type RpcStub, type RpcTarget, type Session } from "@flotilla/kit";
import type { Gateway } from "../shop/contracts/gateway.ts";
import { openChannel } from "./ours/channel.ts";
import { median } from "./results.ts";
import { type System, startSystem } from "./system.ts";
import { usagesOf } from "./usage.ts";
import { variants } from "./variants.ts";
import { bob } from "./work.ts";

/** How far it goes. */
export interface Scale {
  /** Ascending. */
  readonly sessions: readonly number[];
  /** Accounts held at once, each of which has listed its orders; ascending. */
  readonly accounts: readonly number[];
  /** Of one user; ascending. */
  readonly orders: readonly number[];
  /** How long idle sessions are watched, and orders are offered beside them. */
  readonly seconds: number;
}

export const fullScale: Scale = {
  sessions: [0, 1_000, 10_000],
  accounts: [0, 1_000, 10_000],
  orders: [1_000, 10_000, 100_000],
  seconds: 10,
};

export interface IdleRow {
  readonly sessions: number;
  readonly heldBytes: number;
  readonly residentBytes: number;
  /** Of one processor that the gateway used while nobody called. Null where there is no /proc. */
  readonly cpuShare: number | null;
  /** Orders per second that 16 others placed meanwhile. */
  readonly rate: number;
  readonly p99: number;
}

export interface HeldRow {
  readonly accounts: number;
  readonly heldBytes: Readonly<Record<"users" | "orders" | "gateway", number>>;
}

export interface PageRow {
  readonly orders: number;
  /** Milliseconds, as the client sees it: the newest 50, the 50 oldest of all, the newest 1,000. */
  readonly newest: number;
  readonly oldest: number;
  readonly thousand: number;
  /** Of placing one order more. */
  readonly place: number;
  readonly ordersHeldBytes: number;
}

export interface ScaleResults {
  readonly idle: readonly IdleRow[];
  readonly held: readonly HeldRow[];
  readonly pages: readonly PageRow[];
}

/** A user holds at most so many. */
const accountsOfOne = 200;
/** An administrator of the shop's own seed. */
const alice = { username: "alice", password: "password" };

type Say = (line: string) => void;

/** Each part on a system of its own. @throws Error when a session ends, or an answer is wrong. */
export async function measureScale(scale: Scale, say: Say): Promise<ScaleResults> {
  const onSystem = async <T>(part: (system: System) => Promise<T>) => {
    await using system = await startSystem({
      variant: variants.find(({ name }) => name === "flotilla-unix")!,
      store: "sqlite",
    });
    const measured = await part(system);
    await system.stop();
    return measured;
  };
  return {
    idle: await onSystem((system) => measureIdle(system, scale, say)),
    held: await onSystem((system) => measureHeld(system, scale, say)),
    pages: await onSystem((system) => measurePages(system, scale, say)),
  };
}

async function measureIdle(system: System, { sessions, seconds }: Scale, say: Say): Promise<IdleRow[]> {
  await system.run({ kind: "closed", clients: 16, seconds });
  const rows: IdleRow[] = [];
  using clients = new Clients(system.addresses.gateway);
  for (const count of sessions) {
    await clients.open(count);
    const [before] = usagesOf([system.pids[2]!]);
    await sleep(seconds * 1_000);
    const [after] = usagesOf([system.pids[2]!]);
    const { rate, p99, failed } = await system.run({ kind: "closed", clients: 16, seconds });
    if (failed > 0 || clients.lost > 0) throw new Error(`${failed} orders failed, ${clients.lost} sessions were lost`);
    const { gateway } = await system.memories();
    const cpuShare = before && after ? (after.cpuSeconds - before.cpuSeconds) / seconds : null;
    rows.push({ sessions: count, ...gateway, cpuShare, rate, p99 });
    say(`${count} idle sessions: ${rate.toFixed(0)} orders/s beside them`);
  }
  return rows;
}

async function measureHeld(system: System, { accounts }: Scale, say: Say): Promise<HeldRow[]> {
  const rows: HeldRow[] = [];
  using clients = new Clients(system.addresses.gateway);
  await clients.open(Math.ceil(Math.max(...accounts) / accountsOfOne));
  // So that every session has been used before anything is counted.
  const holders = await logInAnew(clients.gateways);
  const held: RpcStub<RpcTarget>[] = [];
  for (const count of accounts) {
    while (held.length < count) {
      const { gateway, token } = holders[Math.floor(held.length / accountsOfOne)]!;
      const accounts = await Promise.all(
        Array.from({ length: Math.min(100, count - held.length) }, () => gateway.account(token)),
      );
      // Its user is then introduced to the Order Service, and stays so.
      await Promise.all(accounts.map((account) => account.orders({ limit: 1 })));
      held.push(...accounts);
    }
    const { users, orders, gateway } = await system.memories();
    rows.push({
      accounts: count,
      heldBytes: { users: users.heldBytes, orders: orders.heldBytes, gateway: gateway.heldBytes },
    });
    say(`${count} accounts held`);
  }
  for (const account of held) account[Symbol.dispose]();
  return rows;
}

/** Makes a user for each of `gateways`, and logs in there. */
async function logInAnew(gateways: readonly RpcStub<Gateway>[]) {
  const admin = await gateways[0]!.login(alice.username, alice.password);
  const holders: { gateway: RpcStub<Gateway>; token: string }[] = [];
  for (const [n, gateway] of gateways.entries()) {
    const user = { username: `holder${n}`, password: "correct horse battery", email: `holder${n}@example.com` };
    await gateways[0]!.createUser(admin.token, user);
    holders.push({ gateway, token: (await gateway.login(user.username, user.password)).token });
  }
  return holders;
}

async function measurePages(system: System, { orders, seconds }: Scale, say: Say): Promise<PageRow[]> {
  const rows: PageRow[] = [];
  using clients = new Clients(system.addresses.gateway);
  await clients.open(1);
  const [gateway] = clients.gateways;
  const { token } = await gateway!.login(bob.username, bob.password);
  const list = async (length: number, page: { limit?: number; before?: string }) => {
    const listed = await gateway!.listOrders(token, page);
    if (listed.length !== length) throw new Error(`${listed.length} orders in a page of ${length}`);
  };
  const newestNumber = async () => Number((await gateway!.listOrders(token, { limit: 1 }))[0]?.orderId.slice(5) ?? 0);
  for (const count of orders) {
    for (let missing = count; missing > 0; missing = count - (await newestNumber())) {
      await system.run({ kind: "closed", clients: 64, seconds: Math.min(seconds, missing / 20_000) });
    }
    const row = {
      orders: await newestNumber(),
      newest: await medianMs(() => list(50, { limit: 50 })),
      oldest: await medianMs(() => list(50, { limit: 50, before: "order51" })),
      thousand: await medianMs(() => list(1_000, {})),
      place: await medianMs(() => gateway!.createOrder(token, [{ name: "Mouse", quantity: 1, price: 29.99 }])),
      ordersHeldBytes: (await system.memories()).orders.heldBytes,
    };
    rows.push(row);
    say(`${row.orders} orders of one user`);
  }
  return rows;
}

async function medianMs(call: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const startMs = performance.now();
    await call();
    times.push(performance.now() - startMs);
  }
  return median(times);
}

/** Sessions with a gateway, of as many addresses as it takes. */
class Clients implements Disposable {
  /** Of one address 256 may be open, and 256 begin in a second. */
  static readonly #perAddress = 200;
  readonly #url: string;
  readonly #sessions: Session[] = [];
  lost = 0;

  constructor(url: string) {
    this.#url = url;
  }

  get gateways(): readonly RpcStub<Gateway>[] {
    return this.#sessions.map(({ remoteMain }) => remoteMain as RpcStub<RpcTarget> as RpcStub<Gateway>);
  }

  /** Until there are `count`. */
  async open(count: number): Promise<void> {
    while (this.#sessions.length < count) {
      const first = this.#sessions.length;
      const opened = Array.from({ length: Math.min(50, count - first) }, (_, i) => this.#openOne(first + i));
      this.#sessions.push(...(await Promise.all(opened)));
    }
  }

  async #openOne(n: number): Promise<Session> {
    const host = Math.floor(n / Clients.#perAddress);
    const channel = await openChannel(this.#url, process.platform === "linux" ? `127.0.1.${1 + host}` : "127.0.0.1");
    const session = openSession(channel, { limits: linkLimits });
    void session.closed.then(() => this.lost++);
    return session;
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions) session.close(new FlotillaError("unavailable", "The measurement is over"));
  }
}
