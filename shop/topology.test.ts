import { addressOf } from "@flotilla/kit";
import { expect, test } from "vitest";
import {
  demoCommand,
  eachService,
  type Placement,
  processNameOf,
  serviceNames,
  socketPathOf,
  topology,
  urlOf,
  variablesOf,
} from "./topology.ts";

const at: Placement = {
  mode: "development",
  host: "127.0.0.1",
  ports: { users: 1, orders: 2, gateway: 3 },
  dataDir: "/data",
};

test("the ports are those of the specification", () => {
  expect(serviceNames.map((name) => topology[name].port)).toEqual([8081, 8082, 8080]);
});

test("each service stands after those it reaches", () => {
  for (const [i, name] of serviceNames.entries()) {
    expect(serviceNames.slice(0, i)).toEqual(expect.arrayContaining([...topology[name].reaches]));
  }
});

test("a service is given its own port and the address of those it reaches, and of nobody else", () => {
  const common = { FLOTILLA_MODE: "development", FLOTILLA_DATA: "/data", FLOTILLA_HOST: "127.0.0.1" };
  const users = { FLOTILLA_USERS_URL: "http://127.0.0.1:1" };
  expect(variablesOf("users", at)).toEqual({ ...common, FLOTILLA_USERS_PORT: "1" });
  expect(variablesOf("orders", at)).toEqual({ ...common, FLOTILLA_ORDERS_PORT: "2", ...users });
  expect(variablesOf("gateway", at)).toEqual({
    ...common,
    FLOTILLA_GATEWAY_PORT: "3",
    ...users,
    FLOTILLA_ORDERS_URL: "http://127.0.0.1:2",
  });
});

test("with a directory of sockets the services reach each other there, and clients the gateway at its port", () => {
  const near = { ...at, socketDir: "/run/the shop" };
  expect(variablesOf("gateway", near)).toMatchObject({
    FLOTILLA_SOCKETS: "/run/the shop",
    FLOTILLA_USERS_URL: "unix:/run/the%20shop/users.sock",
    FLOTILLA_ORDERS_URL: "unix:/run/the%20shop/orders.sock",
  });
  expect(socketPathOf("users", near)).toBe("/run/the shop/users.sock");
  expect(urlOf("gateway", near)).toBe("http://127.0.0.1:3");
});

test("of several instances each has a number and a port, and whoever reaches them is given all their addresses", () => {
  const second: Placement = { ...at, instance: 2, ports: { ...at.ports, users: 11 } };
  const all = { ...eachService(() => [at]), users: [{ ...at, instance: 1 }, second] };
  expect(variablesOf("users", second, all)).toMatchObject({ FLOTILLA_USERS_PORT: "11", FLOTILLA_INSTANCE: "2" });
  expect(variablesOf("gateway", at, all)).toMatchObject({
    FLOTILLA_USERS_URL: "http://127.0.0.1:1,http://127.0.0.1:11",
    FLOTILLA_ORDERS_URL: "http://127.0.0.1:2",
  });
  expect(variablesOf("gateway", at, all)).not.toHaveProperty("FLOTILLA_INSTANCE");
  expect([processNameOf("users", second), processNameOf("gateway", at)]).toEqual(["users.2", "gateway"]);
});

test("of several instances each has a socket, whatever is in the path of their directory", () => {
  const near = { ...at, socketDir: "/run/a, b?" };
  const all = { ...eachService(() => [near]), users: [1, 2].map((instance) => ({ ...near, instance })) };
  const { FLOTILLA_USERS_URL: list = "" } = variablesOf("orders", near, all);
  const paths = list.split(",").map((url) => addressOf(url).socketPath);
  expect(paths).toEqual(["/run/a, b?/users.1.sock", "/run/a, b?/users.2.sock"]);
  expect(paths).toEqual(all.users.map((each) => socketPathOf("users", each)));
});

test("a service that listens on every address is reached over loopback", () => {
  expect(urlOf("users", { ...at, host: "0.0.0.0" })).toBe("http://127.0.0.1:1");
  expect(urlOf("users", { ...at, host: "::" })).toBe("http://[::1]:1");
  expect(urlOf("users", { ...at, host: "shop.example" })).toBe("http://shop.example:1");
});

test("the demo is run where the gateway is, and not in production, which has none of its accounts", () => {
  expect(demoCommand("http://127.0.0.1:8080", { mode: "development" })).toBe("npm run demo");
  const elsewhere = demoCommand("http://127.0.0.1:9090", { mode: "development" });
  expect(elsewhere).toBe("FLOTILLA_GATEWAY_URL=http://127.0.0.1:9090 npm run demo");
  expect(demoCommand("http://127.0.0.1:8080", { mode: "production" })).toBeUndefined();
});
