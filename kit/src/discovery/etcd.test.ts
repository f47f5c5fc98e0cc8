import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { etcdDirectory } from "./etcd-directory.ts";
import { type RegistrationOptions, registerInEtcd } from "./etcd-registration.ts";
import { type EtcdServer, makeEtcdServer } from "./fixtures/etcd-server.ts";
import { watching } from "./fixtures/watching.ts";

const a = "http://10.0.0.1:8081";
const b = "http://10.0.0.2:8081";
const placeIn = ({ url }: EtcdServer) => ({ url, prefix: "shop/users/" });

test("the values under a prefix are the instances, and under no other", async () => {
  await using etcd = await makeEtcdServer();
  etcd.put("shop/users/1", a);
  etcd.put("shop/users0", "http://other:1");
  etcd.put("shop/orders/1", "http://other:1");
  using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs: 100 }));
  await list.names([a]);
  etcd.put("shop/users/\u00ff", b);
  await list.names([a, b]);
  etcd.entries.delete("shop/users/1");
  await list.names([b]);
});

test("an etcd that fails, answers nonsense or names nobody takes no instance away", async () => {
  await using etcd = await makeEtcdServer();
  etcd.put("shop/users/1", a);
  using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs: 100 }));
  await list.names([a]);
  for (const [status, body, complaint] of [
    [503, "{}", /HTTP 503/],
    [200, "<html>", /HTTP 200/],
    [200, '{"kvs":7}', /no list/],
    [200, '{"kvs":[{"key":"YQ=="}]}', /has no value/],
    [200, '{"kvs":[{"value":"bm9uc2Vuc2U="}]}', /"nonsense" is no address/],
    [200, `{"kvs":"${"x".repeat(1024 * 1024)}"}`, /answers too much/],
  ] as const) {
    etcd.say = { status, body };
    await list.complains(complaint);
  }
  etcd.say = undefined;
  etcd.entries.clear();
  await list.complains(/names no instance/);
  expect(list.heard).toEqual([[a]]);
});

test("a registration is found until it ends, and takes its lease with it", async () => {
  await using etcd = await makeEtcdServer();
  using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs: 100 }));
  const first = registerInEtcd(placeIn(etcd), { instance: "one", address: a });
  const second = registerInEtcd(placeIn(etcd), { instance: "two", address: b });
  await Promise.all([first.registered, second.registered]);
  await list.names([a, b]);
  await first.end();
  await list.names([b]);
  expect([...etcd.entries.keys()]).toEqual(["shop/users/two"]);
  await Promise.all([second.end(), second.end()]);
  expect(etcd.entries.size).toBe(0);
});

test("a lease is renewed in time; one that etcd has lost, or an etcd that was away, is no end", async () => {
  await using etcd = await makeEtcdServer();
  const clock = makeVirtualClock();
  const problems: string[] = [];
  const options: RegistrationOptions = {
    instance: "one",
    address: a,
    ttlSeconds: 9,
    clock,
    onProblem: ({ message }) => problems.push(message),
  };
  const registration = registerInEtcd(placeIn(etcd), options);
  await registration.registered;
  const beat = async () => {
    const before = etcd.asked.length;
    await clock.advance(3_000);
    await until(() => etcd.asked.length > before, "etcd was told");
  };
  await beat();
  expect(etcd.asked).toEqual(["/v3/lease/grant", "/v3/kv/put", "/v3/lease/keepalive"]);
  etcd.expire([...etcd.entries.values()][0]!.lease!);
  expect(etcd.entries.size).toBe(0);
  await beat();
  await until(() => etcd.entries.size === 1, "it is written down anew");
  etcd.say = { status: 503, body: "" };
  await beat();
  await until(() => problems.length === 1, "somebody hears of it");
  await beat();
  etcd.say = undefined;
  etcd.expire([...etcd.entries.values()][0]!.lease!);
  await beat();
  await until(() => etcd.entries.size === 1, "it is written down anew");
  expect(problems).toEqual(["etcd cannot be told of this instance"]);
  await registration.end();
  expect(etcd.entries.size).toBe(0);
});

test("what cannot be registered is refused at once", () => {
  const place = { url: "http://127.0.0.1:1", prefix: "x/" };
  expect(() => registerInEtcd(place, { instance: "one", address: "nonsense" })).toThrow(TypeError);
  expect(() => registerInEtcd(place, { instance: "one", address: a, ttlSeconds: 1 })).toThrow(TypeError);
});
