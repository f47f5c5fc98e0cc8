import { expect, test } from "vitest";
import type { Directory } from "./directory.ts";
import { dnsDirectory, srvDirectory } from "./dns-directory.ts";
import { makeNameServer } from "./fixtures/name-server.ts";
import { watching } from "./fixtures/watching.ts";

test("a host's addresses of both kinds are its instances, asked for anew when their time is over", async () => {
  await using server = await makeNameServer();
  server.ttlSeconds = 0;
  server.addresses.set("users.test", ["10.0.0.1", "fd00::2"]);
  using list = watching((options) =>
    dnsDirectory({ host: "users.test", port: 8081 }, { ...options, servers: [server.address] }),
  );
  await list.names(["http://10.0.0.1:8081", "http://[fd00::2]:8081"]);
  server.addresses.set("users.test", ["10.0.0.1", "10.0.0.3"]);
  await list.names(["http://10.0.0.1:8081", "http://10.0.0.3:8081"]);
  expect(list.problems).toEqual([]);
});

test("an SRV record's targets and ports are the instances, those of the first priority alone", async () => {
  await using server = await makeNameServer();
  const name = "_rpc._tcp.users.test";
  const at = (target: string, port: number, priority = 1) => ({ target, port, priority });
  server.services.set(name, [at("a.test", 1), at("b.test", 2), at("far.test", 3, 2)]);
  using list = watching((options) =>
    srvDirectory({ name, scheme: "https" }, { ...options, intervalMs: 100, servers: [server.address] }),
  );
  await list.names(["https://a.test:1", "https://b.test:2"]);
  server.services.set(name, [at("far.test", 3, 2)]);
  await list.names(["https://far.test:3"]);
});

test("who watches it no more ends no question of another", async () => {
  await using server = await makeNameServer();
  server.addresses.set("users.test", ["10.0.0.1"]);
  const left = Promise.withResolvers<Directory>();
  using list = watching((options) => {
    const directory = dnsDirectory({ host: "users.test", port: 80 }, { ...options, servers: [server.address] });
    left.resolve(directory);
    return directory;
  });
  (await left.promise).watch(() => {})();
  await list.names(["http://10.0.0.1:80"]);
  expect(list.problems).toEqual([]);
});

test("a name server that fails, is silent or knows the name no more takes no instance away", async () => {
  await using server = await makeNameServer();
  server.addresses.set("users.test", ["10.0.0.1"]);
  using list = watching((options) =>
    dnsDirectory({ host: "users.test", port: 80 }, { ...options, intervalMs: 100, servers: [server.address] }),
  );
  await list.names(["http://10.0.0.1:80"]);
  server.fault = "failing";
  await list.complains(/addresses of users\.test cannot be looked into/);
  server.fault = "none";
  server.addresses.clear();
  await list.complains(/names no instance/);
  server.fault = "silent";
  await list.complains(/cannot be looked into|does not answer/);
  expect(list.heard).toEqual([["http://10.0.0.1:80"]]);
  server.fault = "none";
  server.addresses.set("users.test", ["10.0.0.9"]);
  await list.names(["http://10.0.0.9:80"]);
});
