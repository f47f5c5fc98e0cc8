import { FlotillaError, type Instances } from "@flotilla/kit";
import { until } from "@flotilla/kit/testing";
import { describe, expect, test } from "vitest";
import type { Gateway } from "../shop/contracts/gateway.ts";
import { openSqliteOrderStore } from "../shop/orders/store-sql.ts";
import { type Fleet, makeFleet } from "./fleet-harness.ts";
import { demoPassword, someItems } from "./shop-harness.ts";

const login = ({ client }: Fleet, name = "bob") => client.call((main) => main.login(name, demoPassword));

/** An order with a key, as a client of ours places it. */
function order(client: Instances<Gateway>, token: string) {
  const key = crypto.randomUUID();
  return client.call((main) => main.createOrder(token, someItems, key), { isRepeatable: true });
}

/** People who order one after the other while `meanwhile` runs. @returns how many orders, and what failed. */
async function whileOrdering(fleet: Fleet, people: number, meanwhile: (done: () => number) => Promise<void>) {
  const { token } = await login(fleet);
  const ids: string[] = [];
  const failed: unknown[] = [];
  let isOver = false;
  const all = Array.from({ length: people }, async () => {
    while (!isOver) {
      await order(fleet.client, token).then(
        ({ orderId }) => ids.push(orderId),
        (error: unknown) => failed.push(error),
      );
    }
  });
  await meanwhile(() => ids.length);
  isOver = true;
  await Promise.all(all);
  return { ids, failed };
}

const more = async (done: () => number) => {
  const before = done();
  await until(() => done() >= before + 40, "orders are placed");
};

describe("of two instances of each service", () => {
  test("each is used, and the others stop one after the other without an order that fails", async () => {
    await using fleet = await makeFleet({ gateways: 2 });
    const { ids, failed } = await whileOrdering(fleet, 8, async (done) => {
      await more(done);
      for (const { drain } of [fleet.users[0]!, fleet.orders[0]!, fleet.gateways[0]!]) {
        await drain();
        await more(done);
      }
    });
    expect(failed).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(await fleet.orderStore.count()).toBe(ids.length);
  });

  test("one User Service is lost without a word, and no order fails that carries a key", async () => {
    await using fleet = await makeFleet();
    const { ids, failed } = await whileOrdering(fleet, 8, async (done) => {
      await more(done);
      await fleet.users[1]!.lose();
      await more(done);
    });
    expect(failed).toEqual([]);
    expect(await fleet.orderStore.count()).toBe(ids.length);
  });

  test("one Order Service is lost without a word, and no order fails, or is placed twice", async () => {
    await using fleet = await makeFleet();
    const { ids, failed } = await whileOrdering(fleet, 8, async (done) => {
      await more(done);
      await fleet.orders[1]!.lose();
      await more(done);
    });
    expect(failed).toEqual([]);
    expect(await fleet.orderStore.count()).toBe(ids.length);
    expect(fleet.gatewayOrders.stats()).toMatchObject({ open: 1, underWay: 0 });
  });

  test("an order that is under way where it is lost is placed by the other, once, for who repeats nothing", async () => {
    const store = openSqliteOrderStore(":memory:");
    const released = Promise.withResolvers<void>();
    let calls = 0;
    const place: typeof store.place = async (wish) => {
      calls += 1;
      if (calls === 1) await released.promise;
      return await store.place(wish);
    };
    await using fleet = await makeFleet({ orderStore: { ...store, place } });
    const { token } = await login(fleet);
    const placed = fleet.client.call((main) => main.createOrder(token, someItems));
    await until(() => calls === 1, "it is under way");
    const at = fleet.gatewayOrders.report().find(({ underWay }) => underWay > 0);
    const instance = fleet.orders.find(({ url }) => url === at?.url);
    await instance!.lose();
    const { orderId } = await placed;
    // What the lost one did of it comes late, and is the same order.
    released.resolve();
    await until(() => calls === 2, "both were asked");
    expect(await store.count()).toBe(1);
    expect(await fleet.client.call((main) => main.listOrders(token))).toMatchObject([{ orderId }]);
    expect(
      fleet.gatewayOrders
        .report()
        .map(({ repeated }) => repeated)
        .sort(),
    ).toEqual([0, 1]);
  });

  test("a client without a connection of ours, who repeats nothing, notices as little", async () => {
    await using fleet = await makeFleet();
    const { token } = await login(fleet);
    const failed: unknown[] = [];
    let done = 0;
    let isOver = false;
    const all = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        await fleet.client
          .call((main) => main.createOrder(token, someItems))
          .then(() => done++)
          .catch((error: unknown) => failed.push(error));
      }
    });
    const placed = () => done;
    await more(placed);
    await fleet.users[0]!.lose();
    await more(placed);
    await fleet.orders[0]!.lose();
    await more(placed);
    isOver = true;
    await Promise.all(all);
    expect(failed).toEqual([]);
    expect(await fleet.orderStore.count()).toBe(done);
  });
});

describe("an account that is held", () => {
  test("is had at another instance when its own stops or is lost, and fails when there is none", async () => {
    await using fleet = await makeFleet();
    const { token } = await login(fleet);
    using bob = await fleet.client.call(async (main) => await main.account(token));
    await bob.createOrder(someItems);
    const first = fleet.gatewayUsers.report().filter(({ underWay }) => underWay === 0);
    expect(first).toHaveLength(2);
    await fleet.users[0]!.drain();
    expect(await bob.profile()).toMatchObject({ username: "bob" });
    await bob.createOrder(someItems);
    await fleet.users[1]!.lose();
    for (const call of [() => bob.profile(), () => bob.createOrder(someItems)]) {
      await expect(Promise.resolve(call())).rejects.toMatchObject({ code: "unavailable" });
    }
    expect(await fleet.orderStore.count()).toBe(2);
  });

  test("of a login that was ended at one instance is refused at every other, at its next call", async () => {
    await using fleet = await makeFleet();
    const { token } = await login(fleet);
    const [here, there] = [fleet.connectToUsers(0), fleet.connectToUsers(1)];
    await Promise.all([here.opened(), there.opened()]);
    using account = await there.pick().main.account(token);
    using user = await account.user();
    using administration = await account.administration();
    using other = await here.pick().main.account(token);
    expect(await other.logout()).toEqual({ ended: 1 });
    const revoked = { code: "permission_denied", reason: "revoked" };
    for (const call of [
      () => account.getProfile(),
      () => account.listSessions(),
      () => account.endSession("any"),
      () => account.editProfile({ email: "b@b.example" }),
      () => account.changePassword(demoPassword, "correct horse battery"),
      () => account.logoutEverywhere(),
      () => user.hasPermission("order.create"),
      () => user.getEmail(),
      () => administration.listUsers(),
    ]) {
      await expect(Promise.resolve<unknown>(call())).rejects.toMatchObject(revoked);
    }
    expect(await account.logout()).toEqual({ ended: 0 });
  });
});

test("an instance that the Order Service does not know yet is not the end of an order: another introduces", async () => {
  await using fleet = await makeFleet();
  const { token } = await login(fleet);
  // The first Order Service is told of one User Service only; the gateway knows both.
  await fleet.orders[1]!.lose();
  fleet.ordersDirectory.say([fleet.users[0]!.url]);
  const tokens = await Promise.all(Array.from({ length: 12 }, () => login(fleet)));
  for (const it of [{ token }, ...tokens]) {
    await expect(fleet.client.call((main) => main.createOrder(it.token, someItems))).resolves.toMatchObject({
      status: "pending",
    });
  }
});

test("an Order Service that fails everything is sent 1.2 times what clients ask, at most, and recovers", async () => {
  const store = openSqliteOrderStore(":memory:");
  let isBroken = false;
  let attempts = 0;
  const place: typeof store.place = async (wish) => {
    attempts += 1;
    if (isBroken) throw new FlotillaError("unavailable", "The store is away");
    return await store.place(wish);
  };
  await using fleet = await makeFleet({ orderStore: { ...store, place } });
  const { token } = await login(fleet);
  await order(fleet.client, token);
  isBroken = true;
  attempts = 0;
  // All at once, before anybody's breaker knows; fewer than the gateway has under way to one destination.
  const calls = 200;
  const outcomes = await Promise.all(
    Array.from({ length: calls }, () =>
      fleet.client.call((main) => main.createOrder(token, someItems)).catch((error: { code: string }) => error.code),
    ),
  );
  expect(new Set(outcomes)).toEqual(new Set(["unavailable"]));
  // And ten a second for who seldom calls: the whole takes a few seconds at most.
  expect(attempts).toBeLessThanOrEqual(calls * 1.2 + 50);
  expect(fleet.gatewayOrders.report().map(({ breakers }) => breakers.writes)).not.toContain("closed");
  // Reads are another group, and go on: at once at the gateway, and as soon as the client asks it again.
  await expect.poll(() => fleet.client.call((main) => main.listOrders(token)).catch(() => [])).toHaveLength(1);
  isBroken = false;
  await expect.poll(() => order(fleet.client, token).catch(() => undefined), { timeout: 8_000 }).toBeDefined();
  await expect
    .poll(async () => {
      await order(fleet.client, token).catch(() => undefined);
      return fleet.gatewayOrders.report().map(({ breakers }) => breakers.writes);
    })
    .toEqual(["closed", "closed"]);
});
