import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runTenSteps } from "../../shop/cli/ten-steps.ts";
import type { Item } from "../../shop/contracts/orders.ts";
import {
  batchClient,
  callLines,
  patient,
  postLines,
  rawClient,
  type TestClient,
  webSocketClient,
} from "../gateway-clients.ts";
import { type Processes, startProcesses } from "../process-harness.ts";
import { stockVersions } from "../stock-versions.ts";

let shop: Processes;
beforeAll(async () => {
  shop = await startProcesses();
});
afterAll(() => shop[Symbol.asyncDispose]());

const password = "password";
const laptop: Item = { name: "Laptop", quantity: 1, price: 999.99 };
const ndjson = { "content-type": "application/x-ndjson" };

const clients: readonly [string, (url: string) => TestClient][] = [
  ...stockVersions.flatMap((stock): [string, (url: string) => TestClient][] => [
    [`stock ${stock.version} over HTTP batch`, (url) => patient(batchClient(url, {}, stock))],
    [`stock ${stock.version} over WebSocket`, (url) => patient(webSocketClient(url, stock))],
  ]),
  ["newline-delimited JSON over plain HTTP", (url) => rawClient(url, ndjson)],
  ["the same without a content type", (url) => rawClient(url, {})],
];

describe.each(clients)("with %s", (_, open) => {
  test("all ten steps work, with the specification's words", async () => {
    using client = open(shop.urls.gateway);
    const lines: string[] = [];
    await runTenSteps(client, (line) => lines.push(line));
    const text = lines.join("\n");
    for (const said of [
      "✓ Logged in as bob (role: user)",
      "User ID: user2\n   Username: bob\n   Email: bob@example.com\n   Role: user",
      "Found 3 users:\n     - alice (id: user1, role: admin)\n     - bob (id: user2, role: user)\n     - charlie (id: user3, role: user)",
      "Total: $1059.97\n   Status: pending\n   Items: 2",
      "✓ Expected failure: You don't have permission to cancel orders",
      "✓ Logged in as alice (role: admin)",
      "Total: $4999.99",
      "Status: cancelled",
      "✓ Order successfully cancelled",
    ]) {
      expect(text).toContain(said);
    }
  });

  test("a bad token is the specification's error on every method", async () => {
    using client = open(shop.urls.gateway);
    const invalid = { code: "unauthenticated", message: "Invalid or expired token" };
    for (const token of ["invalid_token", "", "A".repeat(43)]) {
      await expect(client.getUserProfile(token)).rejects.toMatchObject(invalid);
      await expect(client.listUsers(token)).rejects.toMatchObject(invalid);
      await expect(client.createOrder(token, [laptop])).rejects.toMatchObject(invalid);
      await expect(client.listOrders(token)).rejects.toMatchObject(invalid);
      await expect(client.cancelOrder(token, "order1")).rejects.toMatchObject(invalid);
    }
  });

  test("a wrong password and an unknown user are the same error", async () => {
    using client = open(shop.urls.gateway);
    const invalid = { code: "unauthenticated", message: "Invalid username or password" };
    await expect(client.login("bob", "wrong")).rejects.toMatchObject(invalid);
    await expect(client.login("nobody", password)).rejects.toMatchObject(invalid);
  });

  test("an idempotency key makes one order of any number of calls", async () => {
    using client = open(shop.urls.gateway);
    const { token } = await client.login("charlie", password);
    const before = await client.listOrders(token);
    const key = randomUUID();
    const first = await client.createOrder(token, [laptop], key);
    expect(await client.createOrder(token, [laptop], key)).toEqual(first);
    const other = client.createOrder(token, [{ ...laptop, quantity: 2 }], key);
    await expect(other).rejects.toMatchObject({ code: "already_exists" });
    const raced = randomUUID();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.createOrder(token, [laptop], raced)));
    expect(new Set(answers.map(({ orderId }) => orderId)).size).toBe(1);
    expect(await client.listOrders(token)).toHaveLength(before.length + 2);
  });
});

test("a key is the user's own: the same one of somebody else is another order", async () => {
  using client = patient(webSocketClient(shop.urls.gateway));
  const key = randomUUID();
  const orders = await Promise.all(
    ["alice", "bob"].map(async (name) => {
      const { token } = await client.login(name, password);
      return client.createOrder(token, [laptop], key);
    }),
  );
  expect(orders[0]?.orderId).not.toBe(orders[1]?.orderId);
});

describe("on the wire", () => {
  const call = async (method: string, ...args: unknown[]) =>
    await postLines(shop.urls.gateway, ndjson, callLines(method, args));

  test("an error's name is its code, and beside its message only the allowed fields leave", async () => {
    const [login] = (await call("login", "bob", password)) as [[string, number, { token: string }]];
    const [refusal] = await call("cancelOrder", login[2].token, "order1");
    const requestId = expect.stringMatching(/^[0-9a-f]{32}$/);
    expect(refusal).toEqual([
      "reject",
      1,
      [
        "error",
        "permission_denied",
        "You don't have permission to cancel orders",
        null,
        { code: "permission_denied", retryable: false, requestId },
      ],
    ]);
  });

  test("a method that is not the specification's does not exist", async () => {
    for (const method of ["getUserByToken", "authenticate", "withdraw", "deposit", "constructor", "toString"]) {
      const [answer] = (await call(method)) as [[string, number, [string, string]]];
      expect([answer[0], answer[2][1]]).toEqual(["reject", "unimplemented"]);
    }
  });

  test("a trailing newline, empty lines and an empty body are legal", async () => {
    const lines = `\n\n${callLines("login", ["bob", password])}\n`;
    expect(await postLines(shop.urls.gateway, ndjson, lines)).toMatchObject([["resolve", 1, { userId: "user2" }]]);
    expect(await postLines(shop.urls.gateway, ndjson, "")).toEqual([]);
  });

  test("what is malformed is a 400 with a coded error", async () => {
    for (const body of ["{", "[]", '["push"]x', '["nonsense",1]', '["push",["nonsense",0]]']) {
      const refused = postLines(shop.urls.gateway, ndjson, body);
      await expect(refused, body).rejects.toMatchObject({
        status: 400,
        message: expect.stringContaining('"code":"invalid_argument"'),
      });
    }
  });
});

describe("items that cannot be ordered are invalid_argument, naming the field", () => {
  const lines = (count: number) => Array.from({ length: count }, () => laptop);
  const withItem = (change: object): Item[] => [laptop, { ...laptop, ...change } as Item];
  const bad: readonly [what: string, field: string, items: Item[]][] = [
    ["no lines", "items", lines(0)],
    ["101 lines", "items", lines(101)],
    ["an empty name", "items[1].name", withItem({ name: "" })],
    ["a name of 101 characters", "items[1].name", withItem({ name: "x".repeat(101) })],
    ["no name", "items[1]", [laptop, { quantity: 1, price: 1 } as Item]],
    ["quantity 0", "items[1].quantity", withItem({ quantity: 0 })],
    ["quantity 1.5", "items[1].quantity", withItem({ quantity: 1.5 })],
    ["quantity 10,001", "items[1].quantity", withItem({ quantity: 10_001 })],
    ["quantity NaN", "items[1].quantity", withItem({ quantity: Number.NaN })],
    ['quantity "1"', "items[1].quantity", withItem({ quantity: "1" })],
    ["price -1", "items[1].price", withItem({ price: -1 })],
    ["price 1.001", "items[1].price", withItem({ price: 1.001 })],
    ["price 1,000,001", "items[1].price", withItem({ price: 1_000_001 })],
    ["price Infinity", "items[1].price", withItem({ price: Number.POSITIVE_INFINITY })],
    ["an extra key", "items[1].discount", withItem({ discount: 1 })],
    ["a name that is an object", "items[1].name", withItem({ name: { toString: "x" } })],
  ];

  test.each(bad)("%s", async (_, field, items) => {
    using first = patient(webSocketClient(shop.urls.gateway));
    const { token } = await first.login("charlie", password);
    const before = await first.listOrders(token);
    for (const open of [batchClient, webSocketClient]) {
      using client = patient(open(shop.urls.gateway));
      const refused = await client.createOrder(token, items).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: "invalid_argument" });
      expect((refused as Error).message.startsWith(field)).toBe(true);
    }
    expect(await first.listOrders(token)).toEqual(before);
  });

  test("while the largest order is placed, and its total is exact", async () => {
    using client = patient(webSocketClient(shop.urls.gateway));
    const { token } = await client.login("bob", password);
    const largest = Array.from({ length: 100 }, () => ({ name: "x".repeat(100), quantity: 10_000, price: 999_999.99 }));
    expect((await client.createOrder(token, largest)).total).toBe(999_999_990_000);
  });
});
