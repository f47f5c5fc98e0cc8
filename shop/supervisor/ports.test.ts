import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { choosePorts } from "./ports.ts";

const host = "127.0.0.1";

test("port 0 is replaced by a free port, another for each service", async () => {
  const ports = await choosePorts({ host, ports: { users: 0, orders: 0, gateway: 0 } });
  const distinct = new Set(Object.values(ports));
  expect(distinct.size).toBe(3);
  expect(distinct.has(0)).toBe(false);
});

test("the ports that were found can be listened on at once", async () => {
  const ports = await choosePorts({ host, ports: { users: 0, orders: 0, gateway: 0 } });
  expect(await choosePorts({ host, ports })).toEqual(ports);
});

test("a taken port is refused with its number, who wanted it and how to choose another", async () => {
  const other = createServer().listen(0, host);
  await once(other, "listening");
  const address = other.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const chosen = choosePorts({ host, ports: { users: 0, orders: 0, gateway: port } });
  await expect(chosen).rejects.toThrow(new RegExp(`Port ${port}.*API Gateway.*FLOTILLA_GATEWAY_PORT=\\d+ npm start`));
  other.close();
});

test("a host that is not of this machine is refused in words", async () => {
  const chosen = choosePorts({ host: "192.0.2.1", ports: { users: 0, orders: 0, gateway: 0 } });
  await expect(chosen).rejects.toThrow("FLOTILLA_HOST=192.0.2.1 is not an address of this machine");
});

test("two services cannot be given one port", async () => {
  const chosen = choosePorts({ host, ports: { users: 8081, orders: 8081, gateway: 0 } });
  await expect(chosen).rejects.toThrow("FLOTILLA_ORDERS_PORT: 8081 is the port of the User Service already");
});
