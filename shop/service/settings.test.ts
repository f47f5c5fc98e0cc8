import { expect, test } from "vitest";
import { readSettings } from "./settings.ts";

test("without a word of the environment a service listens where the specification says, and to no web page", () => {
  expect(readSettings("gateway", {})).toMatchObject({
    placement: { mode: "development", host: "127.0.0.1", ports: { gateway: 8080, users: 8081, orders: 8082 } },
    logLevel: "info",
    opsPort: undefined,
    origins: [],
    trustedProxies: [],
    rates: { networkPoints: 10_000, userPoints: 5_000, networkLogins: 100 },
  });
});

test("each service has an ops port of its own", () => {
  const env = { FLOTILLA_ORDERS_OPS_PORT: "9082" };
  expect(readSettings("orders", env).opsPort).toBe(9082);
  expect(readSettings("users", env).opsPort).toBeUndefined();
});

test("origins are a list of origins", () => {
  const { origins } = readSettings("gateway", { FLOTILLA_ORIGINS: "https://shop.example, http://127.0.0.1:5173" });
  expect(origins).toEqual(["https://shop.example", "http://127.0.0.1:5173"]);
});

test("origins are spelt as browsers spell them, apps have some too, and one that matches nothing is named", () => {
  const read = (text: string) => readSettings("gateway", { FLOTILLA_ORIGINS: text }).origins;
  expect(read("HTTPS://Shop.example:443/,capacitor://localhost")).toEqual([
    "https://shop.example",
    "capacitor://localhost",
  ]);
  expect(() => read("https://*.shop.example,https://shop.example/path")).toThrow(
    'FLOTILLA_ORIGINS: "https://*.shop.example" is no origin of a page: there are no wildcards: list each origin by its ' +
      'name\nFLOTILLA_ORIGINS: "https://shop.example/path" is no origin of a page: it ends with the host: https://shop.example',
  );
});

test("each rate is set by a variable of its own", () => {
  const env = { FLOTILLA_RATE_NETWORK: "1", FLOTILLA_RATE_USER: "2", FLOTILLA_RATE_LOGINS: "3" };
  expect(readSettings("gateway", env).rates).toEqual({ networkPoints: 1, userPoints: 2, networkLogins: 3 });
});

test("who is reached is one address, several, or a directory", () => {
  const defaults = { users: "http://127.0.0.1:8081", orders: "http://127.0.0.1:8082" };
  expect(readSettings("gateway", {}).places).toEqual(defaults);
  expect(readSettings("orders", {}).places).toEqual({ users: defaults.users });
  const env = {
    FLOTILLA_USERS_URL: "http://a:1,http://b:1",
    FLOTILLA_ORDERS_URL: "dns+srv://_rpc._tcp.orders.example",
  };
  expect(readSettings("gateway", env).places).toEqual({
    users: env.FLOTILLA_USERS_URL,
    orders: env.FLOTILLA_ORDERS_URL,
  });
  expect(readSettings("users", { FLOTILLA_ORDERS_URL: "nonsense" }).places).toEqual({});
});

test("who is reached has no password, and none is printed", () => {
  const read = () => readSettings("gateway", { FLOTILLA_USERS_URL: "http://shop:swordfish@users:8081" });
  expect(read).toThrow(/^FLOTILLA_USERS_URL: url is no address((?!swordfish).)*$/);
});

test("where an instance writes itself down is a place in etcd, by the name of its service", () => {
  const env = { FLOTILLA_REGISTER: "etcd+http://etcd:2379/shop", FLOTILLA_ADDRESS: "http://10.0.0.1:8081" };
  expect(readSettings("users", env).registration).toEqual({
    place: { url: "http://etcd:2379", prefix: "shop/users/" },
    address: "http://10.0.0.1:8081",
  });
  expect(readSettings("users", {}).registration).toBeUndefined();
  expect(() => readSettings("users", { FLOTILLA_ADDRESS: "http://10.0.0.1:8081" })).toThrow("FLOTILLA_REGISTER");
});

test("everything that is wrong is named at once", () => {
  const env = {
    FLOTILLA_MODE: "debug",
    FLOTILLA_GATEWAY_PORT: "x",
    FLOTILLA_LOG_LEVEL: "loud",
    FLOTILLA_GATEWAY_OPS_PORT: "-1",
    FLOTILLA_ORIGINS: "https://shop.example/path,*",
    FLOTILLA_USERS_URL: "http://a:1,,http://b:1",
    FLOTILLA_ORDERS_URL: "etcd+http://etcd:2379",
    FLOTILLA_REGISTER: "file:/etc/instances",
    FLOTILLA_ADDRESS: "nowhere",
    FLOTILLA_TRUSTED_PROXIES: "10.0.0.0/8,proxy.example",
    FLOTILLA_RATE_NETWORK: "0",
    FLOTILLA_RATE_USER: "Infinity",
    FLOTILLA_RATE_LOGINS: "1e3",
    FLOTILLA_LOG_LEVELS: "debug",
  };
  const read = () => readSettings("gateway", env);
  const named = [
    "FLOTILLA_MODE",
    "FLOTILLA_GATEWAY_PORT",
    "FLOTILLA_LOG_LEVEL: expected",
    "FLOTILLA_LOG_LEVELS: there is no such setting; did you mean FLOTILLA_LOG_LEVEL?",
    "FLOTILLA_GATEWAY_OPS_PORT",
    "/path",
    '"*"',
    'FLOTILLA_TRUSTED_PROXIES: expected IP addresses or ranges such as 10.0.0.0/8, got "proxy.example"',
    'FLOTILLA_RATE_NETWORK: expected a whole number from 1 to 999999999, got "0"',
    "FLOTILLA_RATE_USER",
    "FLOTILLA_RATE_LOGINS",
    "FLOTILLA_USERS_URL: url is no address",
    "FLOTILLA_ORDERS_URL: expected a prefix of keys",
    "FLOTILLA_REGISTER: expected etcd+http://host:port/prefix",
    "FLOTILLA_ADDRESS: url is no address",
  ];
  for (const name of named) expect(read).toThrow(name);
});

test("a service reads its own port, and another's only to find a service that nothing else places", () => {
  const [bad, elsewhere] = ["x", "http://elsewhere:1"];
  const others = { FLOTILLA_ORDERS_PORT: bad, FLOTILLA_ORDERS_OPS_PORT: bad, FLOTILLA_GATEWAY_PORT: bad };
  expect(readSettings("users", { ...others, FLOTILLA_USERS_PORT: "1" }).placement.ports.users).toBe(1);
  expect(() => readSettings("orders", { FLOTILLA_USERS_PORT: bad })).toThrow("FLOTILLA_USERS_PORT");
  const placed = { FLOTILLA_USERS_PORT: bad, FLOTILLA_USERS_URL: elsewhere };
  expect(readSettings("orders", placed).places.users).toBe(elsewhere);
  const near = { FLOTILLA_USERS_PORT: bad, FLOTILLA_SOCKETS: "/run/shop" };
  expect(readSettings("orders", near).places.users).toBe("unix:/run/shop/users.sock");
});
