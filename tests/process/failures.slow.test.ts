import {
  type Connection,
  systemClock as clock,
  connect,
  type HomeLink,
  makeHome,
  makeLoans,
  openIdentity,
  type RpcStub,
  type RpcTarget,
  serve,
} from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import type { Item } from "../../shop/contracts/orders.ts";
import type { User, UserServiceForPeers } from "../../shop/contracts/users.ts";
import { orderServiceFor } from "../../shop/orders/service.ts";
import { openSqliteOrderStore } from "../../shop/orders/store-sql.ts";
import { serviceNames } from "../../shop/topology.ts";
import { batchClient, patient, webSocketClient } from "../gateway-clients.ts";
import { startProcesses, until } from "../process-harness.ts";

const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];
const password = "password";

/** Far below a deadline: what is away is known to be away. Milliseconds. */
const failFastMs = 5_000;

/** An order placed and listed, by somebody who logs in anew. */
async function works(url: string): Promise<boolean> {
  const client = patient(batchClient(url, { connection: "close" }));
  try {
    const { token } = await client.login("bob", password);
    const { orderId } = await client.createOrder(token, items);
    return (await client.listOrders(token)).some((order) => order.orderId === orderId);
  } catch {
    return false;
  }
}

async function expectFailsFast(call: () => Promise<unknown>): Promise<void> {
  const startMs = performance.now();
  const refused = await call().then(
    () => "answered",
    (error: unknown) => error,
  );
  expect(refused).toMatchObject({ code: "unavailable" });
  expect(performance.now() - startMs).toBeLessThan(failFastMs);
}

describe("after the gateway's kill -9", () => {
  test("the Order Service still calls the User that it withdrew, and can withdraw no more", async () => {
    // users and the gateway are the real processes; the Order Service is the real one too, but runs in here, so that
    // the capability it withdraws can be held on to.
    await using shop = await startProcesses({ start: ["users"] });
    const identity = openIdentity(`${shop.dataDir}/keys`, "orders");
    const home = makeHome({ name: "orders" });
    const as = { identity, instance: home.instance };
    using users = connect<UserServiceForPeers>({ name: "users", url: shop.urls.users, as });
    const { link, held } = holding(users);
    using loans = makeLoans({ from: link, clock });
    const deps = { clock, store: openSqliteOrderStore(":memory:"), users: loans };
    const port = Number(new URL(shop.urls.orders).port);
    const main = (peer: Parameters<typeof orderServiceFor>[0]) => orderServiceFor(peer, home, deps);
    const server = await serve({ name: "orders", instance: home.instance, identity, port, main });
    try {
      await shop.start("gateway");
      await shop.ready();
      expect(await works(shop.urls.gateway)).toBe(true);
      const [user] = held;
      expect(await user?.getUsername()).toBe("bob");
      expect((await shop.stats("users")).home?.deposits).toBe(1);

      await shop.kill("gateway");
      await until(
        async () => (await shop.stats("users")).home?.deposits === 0,
        "users noticed that the gateway is gone",
      );
      expect(await user?.getId()).toBe("user2");
      expect(await user?.hasPermission("order.create")).toBe(true);
      expect(await user?.hasPermission("order.cancel")).toBe(false);
    } finally {
      for (const user of held) user[Symbol.dispose]();
      await server.drain();
    }
  });

  test("users and orders go on, and a new gateway works at once with the same tokens", async () => {
    await using shop = await startProcesses();
    const before = patient(batchClient(shop.urls.gateway, { connection: "close" }));
    const { token } = await before.login("bob", password);
    const { orderId } = await before.createOrder(token, items);
    await shop.kill("gateway");
    await shop.start("gateway");
    await shop.ready();
    expect(await before.listOrders(token)).toMatchObject([{ orderId }]);
    await before.createOrder(token, items);
  });
});

/** `users` as the Order Service uses it; what it is lent we withdraw too, to keep it. */
function holding(users: Connection<UserServiceForPeers>): { link: HomeLink; held: RpcStub<User>[] } {
  const held: RpcStub<User>[] = [];
  type Withdraw = (nonce: string, gifter: string, asLoan?: boolean) => RpcStub<User>;
  const main = {
    withdraw(nonce: string, gifter: string, asLoan: boolean) {
      const home = users.main as unknown as { withdraw: Withdraw };
      held.push(home.withdraw(nonce, gifter));
      return home.withdraw(nonce, gifter, asLoan);
    },
  } as unknown as RpcStub<RpcTarget>;
  const link: HomeLink = {
    name: users.name,
    get instance() {
      return users.instance;
    },
    at: (instance) => (instance === users.instance ? link : undefined),
    isAnonymous: users.isAnonymous,
    main,
    opened: () => users.opened(),
    get sessionNumber() {
      return users.sessionNumber;
    },
  };
  return { link, held };
}

test("services that start for the first time in the order that suits them least find each other", async () => {
  // Nobody's key is there yet when it is first asked for.
  await using shop = await startProcesses({ start: ["gateway", "orders", "users"] });
  await until(() => works(shop.urls.gateway), "an order can be placed");
});

describe("a service that is killed and started again", () => {
  test("is found again by the others, which were not restarted; meanwhile calls fail fast with unavailable", async () => {
    await using shop = await startProcesses();
    const { gateway } = shop.urls;
    using client = patient(webSocketClient(gateway));
    const { token } = await client.login("bob", password);
    await client.createOrder(token, items);

    for (const name of ["users", "orders"] as const) {
      const others = serviceNames.filter((other) => other !== name).map((other) => shop.pidOf(other));
      await shop.kill(name);
      await expectFailsFast(() => client.createOrder(token, items));
      await expectFailsFast(() => client.listOrders(token));
      if (name === "users") await expectFailsFast(() => client.login("bob", password));
      else expect(await client.getUserProfile(token)).toMatchObject({ username: "bob" });
      await shop.start(name);
      await until(() => works(gateway), `the shop works again after ${name} was restarted`);
      // The token, the session and the introduction of before, whatever became of it.
      await client.createOrder(token, items);
      expect(serviceNames.filter((other) => other !== name).map((other) => shop.pidOf(other))).toEqual(others);
    }
  });

  test("is found again when all of them were, in every order of return", async () => {
    await using shop = await startProcesses();
    for (const order of permutations(serviceNames)) {
      await Promise.all(serviceNames.map((name) => shop.kill(name)));
      for (const name of order) await shop.start(name);
      await until(() => works(shop.urls.gateway), `the shop works again, started as ${order.join(", ")}`);
    }
  }, 120_000);
});

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length <= 1) return [[...values]];
  return values.flatMap((first) =>
    permutations(values.filter((other) => other !== first)).map((rest) => [first, ...rest]),
  );
}
