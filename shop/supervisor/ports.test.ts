import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { eachService, type Placement, type Ports, serviceNames } from "../topology.ts";
import { oneOfEach } from "./instances.ts";
import { choosePorts } from "./ports.ts";

const host = "127.0.0.1";
const anyPorts: Ports = eachService(() => 0);

function at(ports: Ports = anyPorts): Placement {
  return { mode: "development", host, ports, dataDir: "/data" };
}

test("port 0 is replaced by a free port, another for each service", async () => {
  const [placement] = (await choosePorts(at())).users;
  const distinct = new Set(Object.values(placement!.ports));
  expect(distinct.size).toBe(serviceNames.length);
  expect(distinct.has(0)).toBe(false);
});

test("the ports that were found can be listened on at once", async () => {
  const chosen = await choosePorts(at());
  expect(await choosePorts(chosen.users[0]!)).toEqual(chosen);
});

test("a taken port is refused with its number, who wanted it and how to choose another", async () => {
  await using taken = await takePort();
  const chosen = choosePorts(at({ ...anyPorts, gateway: taken.port }));
  await expect(chosen).rejects.toThrow(
    new RegExp(`Port ${taken.port}.*API Gateway.*FLOTILLA_GATEWAY_PORT=\\d+ npm start`),
  );
});

test("a host that is not of this machine is refused in words", async () => {
  const chosen = choosePorts({ ...at(), host: "192.0.2.1" });
  await expect(chosen).rejects.toThrow("FLOTILLA_HOST=192.0.2.1 is not an address of this machine");
});

test("a host whose name cannot be resolved is refused as such, and not its ports", async () => {
  const chosen = choosePorts({ ...at(), host: "not..a..host" });
  await expect(chosen).rejects.toThrow(
    /^FLOTILLA_HOST=not\.\.a\.\.host is not an address of this machine \(E\w+\), for the User Service\.$/m,
  );
});

test("two services cannot be given one port", async () => {
  const chosen = choosePorts(at({ ...anyPorts, users: 8081, orders: 8081 }));
  await expect(chosen).rejects.toThrow("FLOTILLA_ORDERS_PORT: 8081 is the port of the User Service already");
});

test("each instance of a service listens ten ports above the one before, and knows the first of the others", async () => {
  // Below those that systems give out by themselves.
  const first = 20_000 + (process.pid % 10_000);
  const chosen = await choosePorts(at({ ...anyPorts, gateway: first }), { ...oneOfEach, gateway: 3 });
  expect(chosen.gateway.map(({ ports, instance }) => [ports.gateway, instance])).toEqual([
    [first, 1],
    [first + 10, 2],
    [first + 20, 3],
  ]);
  expect(new Set(chosen.gateway.map(({ ports }) => ports.users))).toEqual(new Set([chosen.users[0]!.ports.users]));
  expect(chosen.users.map(({ instance }) => instance)).toEqual([undefined]);
});

test("with port 0 every instance is given a free one of its own", async () => {
  const count = 4;
  const chosen = await choosePorts(
    at(),
    eachService(() => count),
  );
  const ports = serviceNames.flatMap((name) => chosen[name].map((it) => it.ports[name]));
  expect(new Set(ports).size).toBe(count * serviceNames.length);
  expect(ports).not.toContain(0);
});

test("the taken port of a second instance is refused by its number, and what is suggested is another for all", async () => {
  await using taken = await takePort();
  const gateway = taken.port - 10;
  const chosen = choosePorts(at({ ...anyPorts, gateway }), { ...oneOfEach, gateway: 2 });
  const message = await chosen.then(String, String);
  const suggestion = new RegExp(
    `Port ${taken.port}, which instance 2 of the API Gateway wants.*GATEWAY_PORT=(\\d+) npm`,
  );
  const suggested = Number(suggestion.exec(message)?.[1]);
  expect([suggested, suggested + 10]).not.toContain(taken.port);
  expect(suggested + 10).toBeLessThanOrEqual(65_535);
});

test("instances that would come to the port of another service, or beyond the last one, are refused", async () => {
  const shared = choosePorts(at({ ...anyPorts, users: 18_081, orders: 18_091 }), { ...oneOfEach, users: 2 });
  await expect(shared).rejects.toThrow("FLOTILLA_ORDERS_PORT: 18091 is the port of instance 2 of the User Service");
  const beyond = choosePorts(at({ ...anyPorts, users: 65_530 }), { ...oneOfEach, users: 2 });
  await expect(beyond).rejects.toThrow(/Port 65540, which instance 2 .*FLOTILLA_USERS_PORT=\d+ npm start/);
});

async function takePort(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}
