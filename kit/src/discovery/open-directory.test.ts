import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { keysIn } from "../../../tests/etcd.ts";
import { makeEtcdServer } from "./fixtures/etcd-server.ts";
import { makeNameServer } from "./fixtures/name-server.ts";
import { watching } from "./fixtures/watching.ts";
import { etcdPlaceOf, openDirectory } from "./open-directory.ts";

test("a list is one address or several, with commas", async () => {
  using one = watching((options) => openDirectory("http://a:1", options));
  using several = watching((options) => openDirectory("https://a/users, unix:/run/users.sock", options));
  expect(one.heard).toEqual([["http://a:1"]]);
  expect(several.heard).toEqual([["https://a/users", "unix:/run/users.sock"]]);
});

test("a file, a host, an SRV record and etcd are directories", async () => {
  await using names = await makeNameServer();
  await using etcd = await makeEtcdServer();
  using place = mkdtempDisposableSync(join(tmpdir(), "flotilla-list "));
  names.addresses.set("users.test", ["10.0.0.1"]);
  names.services.set("_rpc._tcp.users.test", [{ target: "a.test", port: 7, priority: 0 }]);
  await keysIn(etcd).put("shop/users/1", "http://c:3");
  writeFileSync(join(place.path, "users"), "http://b:2");
  const found = {
    [`file:${encodeURI(place.path)}/users`]: "http://b:2",
    [`dns://users.test:81?server=${names.address}`]: "http://10.0.0.1:81",
    [`dns://users.test?server=${names.address}`]: "http://10.0.0.1:80",
    [`dns+srv://_rpc._tcp.users.test?server=${names.address}`]: "http://a.test:7",
    [`dns+srvs://_rpc._tcp.users.test?server=${names.address}`]: "https://a.test:7",
    [`etcd+${etcd.url}/shop/users`]: "http://c:3",
  };
  for (const [text, url] of Object.entries(found)) {
    using list = watching((options) => openDirectory(text, options));
    await list.names([url]);
  }
});

test.each([
  ["", /no address/],
  ["http://a:1,", /no address/],
  ["users", /no address/],
  ["file:users", /absolute path/],
  ["file://host/users", /absolute path/],
  ["file:/", /absolute path/],
  ["dns://", /expected dns:\/\/name:port/],
  ["dns://host:1/path", /expected dns:\/\/name:port/],
  ["dns://host:99999", /expected dns:\/\/name:port/],
  ["dns+srv://name:81", /says the port itself/],
  ["dns://host?server=nowhere", /Invalid IP address/],
  ["etcd+http://host", /prefix of keys/],
  ["etcd+ftp://host/x", /no address/],
  ["etcd+http://user:secret@host/x", /expected etcd/],
])("%j is none", (text, complaint) => {
  expect(() => openDirectory(text)).toThrow(complaint);
  expect(() => openDirectory(text)).toThrow(TypeError);
});

test("a list of more than 128 addresses is none", () => {
  const text = Array.from({ length: 129 }, (_, n) => `http://a:${n + 1}`).join(",");
  expect(() => openDirectory(text)).toThrow(/at most 128/);
});

test("the place of a registration is the one that is looked into", () => {
  expect(etcdPlaceOf("etcd+http://host:2379/shop/users")).toEqual({
    url: "http://host:2379",
    prefix: "shop/users/",
  });
  expect(() => etcdPlaceOf("http://host/x")).toThrow(TypeError);
});
