import { expect, test } from "vitest";
import { oneOfEach, readInstances } from "./instances.ts";

const shared = { FLOTILLA_USERS_STORE: "postgres://shop@db/users", FLOTILLA_ORDERS_STORE: "postgres://shop@db/orders" };

test("without a word there is one of each", () => {
  expect(readInstances(undefined, {})).toEqual({ users: 1, orders: 1, gateway: 1 });
});

test("one number is meant for every service, a list for those it names", () => {
  expect(readInstances("2", shared)).toEqual({ users: 2, orders: 2, gateway: 2 });
  expect(readInstances("users=2, orders=8", shared)).toEqual({ users: 2, orders: 8, gateway: 1 });
  expect(readInstances("1", {})).toEqual(oneOfEach);
});

test.each([
  ["", 'a number from 1 to 8, or such as users=2,orders=3, got ""'],
  ["0", 'got "0"'],
  ["9", 'got "9"'],
  ["2.5", 'got "2.5"'],
  ["two", 'got "two"'],
  ["users", 'got "users"'],
  ["users=", 'got ""'],
  ["users=99", 'got "99"'],
  ["users=1=2", 'got "1=2"'],
  ["basket=2", 'expected users, orders, gateway, got "basket"'],
  ["users=2,", 'expected users, orders, gateway, got ""'],
  ["users=2,users=3", "users is named twice"],
])("%j is refused in words", (text, words) => {
  expect(() => readInstances(text, shared)).toThrow(expect.objectContaining({ reason: "bad_settings" }));
  expect(() => readInstances(text, shared)).toThrow(words);
});

test("everything that is wrong is told at once", () => {
  expect(() => readInstances("users=0,orders=2,basket=1", {})).toThrow(
    /"0"\ninstances: .*"basket"\ninstances: 2 of the Order/,
  );
});

test("several of a service need a database that they share, which the gateway does not", () => {
  const { FLOTILLA_USERS_STORE } = shared;
  expect(() => readInstances("2", { FLOTILLA_USERS_STORE })).toThrow(
    "instances: 2 of the Order Service need a database that they share, because a file of SQLite has one owner: " +
      "FLOTILLA_ORDERS_STORE=postgres://USER:PASSWORD@HOST/DATABASE?schema=orders",
  );
  expect(() => readInstances("users=2,orders=3", {})).toThrow(/2 of the User Service .*\n.*3 of the Order Service/);
  expect(readInstances("gateway=2", {})).toEqual({ users: 1, orders: 1, gateway: 2 });
});

test("a store that is malformed is refused without its password", () => {
  const read = () => readInstances("users=2", { FLOTILLA_USERS_STORE: "mysql://shop:swordfish@db/users" });
  expect(read).toThrow(/FLOTILLA_USERS_STORE: expected postgres/);
  expect(read).not.toThrow("swordfish");
});
