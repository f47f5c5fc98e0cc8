import { inspect } from "node:util";
import { expect, test } from "vitest";
import { PostgresPlace } from "./postgres-place.ts";
import { StartError } from "./start-error.ts";

const namesOf = (text: string) => new PostgresPlace(text).servers.map(({ name }) => name);

test("a place is one server or several, with a database", () => {
  expect(namesOf("postgres://shop:secret@db.example:5433/orders")).toEqual(["db.example:5433/orders"]);
  expect(namesOf("postgresql://a:5432,b/orders")).toEqual(["a:5432/orders", "b/orders"]);
  expect(namesOf("postgres://[::1]:5432/orders")).toEqual(["[::1]:5432/orders"]);
  expect(namesOf("postgres://shop@/orders?host=/run/postgresql")).toEqual(["/run/postgresql/orders"]);
});

test("each server is named to the driver with the login and what else was asked for, but for the schema", () => {
  const place = new PostgresPlace("postgres://shop:s%40cret@a:1,b:2/orders?schema=mine&sslmode=verify-full");
  expect(place.schema).toBe("mine");
  expect(place.servers.map(({ connectionString }) => connectionString)).toEqual([
    "postgres://shop:s%40cret@a:1/orders?sslmode=verify-full",
    "postgres://shop:s%40cret@b:2/orders?sslmode=verify-full",
  ]);
});

test("no password is printed, however the place is", () => {
  const place = new PostgresPlace("postgres://shop:hunter2@a,b/orders?password=hunter2&schema=mine");
  const printed = [JSON.stringify({ place }), inspect({ place }, { depth: 9, showHidden: true }), `${place}`];
  for (const text of printed) expect(text).not.toContain("hunter2");
  expect(JSON.stringify(place)).toBe('"postgres://shop:***@a,b/orders?password=***&schema=mine"');
});

test.each([
  "hunter2",
  "mysql://shop:hunter2@a/orders",
  "postgres://shop:hunter2@a",
  "postgres://shop:hunter2@a/",
  "postgres://shop:hun/ter2@a/orders",
  "postgres://shop:hunter2@a:port/orders",
  "postgres://shop:hunter2@a/orders?schema=x;drop",
])("%s is refused without a word of it", (text) => {
  const refuse = () => new PostgresPlace(text);
  expect(refuse).toThrow(StartError);
  expect(refuse).toThrow(/^(?!.*hunter2).*postgres:\/\/USER|schema/);
});
