import { resolve } from "node:path";
import { expect, test } from "vitest";
import { readPlacement } from "./placement.ts";

test("without settings the system is the specified one, in development mode", () => {
  const placement = readPlacement({});
  expect(placement).toMatchObject({
    mode: "development",
    host: "127.0.0.1",
    ports: { gateway: 8080, users: 8081, orders: 8082 },
  });
  expect(placement.instance).toBeUndefined();
  expect(placement.dataDir).toBe(resolve(import.meta.dirname, "../../data"));
});

test("an empty variable counts as absent", () => {
  expect(readPlacement({ FLOTILLA_MODE: "", FLOTILLA_GATEWAY_PORT: "", FLOTILLA_INSTANCE: "" })).toEqual(
    readPlacement({}),
  );
});

test("everything that is wrong is told at once", () => {
  const read = () =>
    readPlacement({
      FLOTILLA_MODE: "prod",
      FLOTILLA_GATEWAY_PORT: "70000",
      FLOTILLA_USERS_PORT: "0x10",
      FLOTILLA_ORDERS_PORT: "-1",
      FLOTILLA_INSTANCE: "0",
    });
  expect(read).toThrow(/FLOTILLA_MODE.*"prod"/);
  expect(read).toThrow(/FLOTILLA_GATEWAY_PORT.*"70000"/);
  expect(read).toThrow(/FLOTILLA_USERS_PORT.*"0x10"/);
  expect(read).toThrow(/FLOTILLA_ORDERS_PORT.*"-1"/);
  expect(read).toThrow(/FLOTILLA_INSTANCE.*"0"/);
});
