import { connect } from "@flotilla/kit";
import { expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { ServiceName } from "../../shop/topology.ts";
import { wrongByVariable } from "../process/wrong-clock.ts";
import { startProcesses, until } from "../process-harness.ts";
import { sendCustomers } from "./customers.ts";
import { violations } from "./history.ts";
import { ratesMax } from "./kills.ts";

const hourMs = 3_600_000;

test("a step of the wall clock ends no call and no session: tokens expire by it, ids and keys do not", async () => {
  await using shop = await startProcesses({ env: ratesMax });
  using customers = await sendCustomers(shop.urls.gateway, 2);
  using bob = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  const { history } = customers;
  const item = [{ name: "Laptop", quantity: 1, price: 999.99 }];
  const key = crypto.randomUUID();
  const place = async () =>
    (await bob.main.createOrder((await bob.main.login("bob", "password")).token, item, key)).orderId;
  const first = await place();
  const sessions = bob.sessionNumber;
  for (const wrongByMs of [2 * hourMs, -22 * hourMs, 0]) {
    await shop.stepClocks(wrongByMs);
    const known = history.intents.length;
    await until(() => history.intents.slice(known).filter((it) => it.acknowledged).length > 20, "orders are placed");
    // Within 24 hours of its order, however the clock went meanwhile.
    expect(await place()).toBe(first);
    expect(bob.sessionNumber).toBe(sessions);
  }
  await customers.finish();
  // Two hours later the token is none any more, and a new one is had by logging in.
  expect([...history.errors.keys()]).toEqual(["unauthenticated"]);
  const own = (await customers.stored()).filter(({ orderId }) => orderId !== first);
  expect(violations(history, own)).toEqual([]);
});

test("services whose clocks differ by half a minute know each other, and the tokens of each other's users", async () => {
  const wrongByMs: Record<ServiceName, number> = { users: -14_500, orders: 0, gateway: 14_500 };
  await using shop = await startProcesses({
    env: ratesMax,
    envOf: (name) => ({ [wrongByVariable]: `${wrongByMs[name]}` }),
  });
  using customers = await sendCustomers(shop.urls.gateway, 2);
  const { history } = customers;
  await until(() => history.intents.filter((it) => it.acknowledged).length > 50, "orders are placed");
  await customers.finish();
  expect(history.errors).toEqual(new Map());
  expect(violations(history, await customers.stored())).toEqual([]);
});
