import { expect, test } from "vitest";
import { keysIn } from "../../../tests/etcd.ts";
import { until } from "../testing/until.ts";
import { instancesMax } from "./directory.ts";
import { etcdDirectory } from "./etcd-directory.ts";
import { registerInEtcd } from "./etcd-registration.ts";
import { describeWithEtcd, placeIn } from "./fixtures/etcds.ts";
import { spawnInstance } from "./fixtures/instance.ts";
import { watching } from "./fixtures/watching.ts";

const a = "http://10.0.0.1:8081";
const b = "http://10.0.0.2:8081";

/** Nobody waits so long here: what is heard is heard by the watch. Milliseconds. */
const intervalMs = 600_000;

describeWithEtcd("instances in etcd", (open) => {
  test("are the values under a prefix, and under no other; a change counts at once", async () => {
    await using etcd = await open();
    const keys = keysIn(etcd);
    await keys.put("shop/users/1", a);
    await keys.put("shop/users0", "http://other:1");
    await keys.put("shop/orders/1", "http://other:1");
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    await list.names([a]);
    await keys.put("shop/users/\u00ff", b);
    await list.names([a, b]);
    await keys.remove("shop/users/1");
    await list.names([b]);
    await keys.put("shop/users/\u00ff", a);
    await list.names([a]);
    expect(list.heard).toEqual([[a], [a, b], [b], [a]]);
    expect(list.problems).toEqual([]);
  });

  test("are watched by one watch for as long as somebody listens, and by none after", async () => {
    await using etcd = await open();
    await keysIn(etcd).put("shop/users/1", a);
    const directory = etcdDirectory(placeIn(etcd));
    {
      using first = watching(() => directory);
      using second = watching(() => directory);
      await Promise.all([first.names([a]), second.names([a])]);
      await expect.poll(() => etcd.watches()).toBe(2);
    }
    await expect.poll(() => etcd.watches()).toBe(0);
    const stop = directory.watch(() => {});
    stop();
    stop();
  });

  test("may be as many as there are instances at most, with long addresses, and one more takes none away", async () => {
    await using etcd = await open();
    const keys = keysIn(etcd);
    const long = "x".repeat(1_000);
    const urls = Array.from({ length: instancesMax }, (_, n) => `http://10.0.0.1:${n + 1}/${long}`);
    await Promise.all(urls.slice(1).map((url) => keys.put(`shop/users/${url}`, url)));
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    await list.names(urls.slice(1));
    await keys.put("shop/users/1", urls[0]!);
    await list.names(urls);
    await keys.put("shop/users/2", a);
    await list.complains(/names more than 128/);
    await keys.remove("shop/users/1");
    await list.names([a, ...urls.slice(1)]);
  });

  test("are heard of when etcd has forgotten what was before", async () => {
    await using etcd = await open();
    const keys = keysIn(etcd);
    await keys.put("shop/users/1", a);
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    await list.names([a]);
    await expect.poll(() => etcd.watches()).toBe(1);
    for (const url of [b, a, b]) {
      await keys.compact();
      await keys.put("shop/users/1", url);
      await list.names([url]);
    }
    await etcd.stop();
    await etcd.start();
    await keys.compact();
    await keys.put("shop/users/1", a);
    await list.names([a]);
  });

  test("are those that register, until they end, and their leases end with them", async () => {
    await using etcd = await open();
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    const first = registerInEtcd(placeIn(etcd), { instance: "one", address: a });
    const second = registerInEtcd(placeIn(etcd), { instance: "two", address: b });
    await Promise.all([first.registered, second.registered]);
    await list.names([a, b]);
    await first.end();
    await list.names([b]);
    expect(await keysIn(etcd).list()).toEqual(["shop/users/two"]);
    await Promise.all([second.end(), second.end()]);
    expect(await keysIn(etcd).list()).toEqual([]);
  });

  test("outlive an etcd that is away, and comes back with or without what it knew", async () => {
    await using etcd = await open();
    const problems: string[] = [];
    const registration = registerInEtcd(placeIn(etcd), {
      instance: "one",
      address: a,
      ttlSeconds: 2,
      onProblem: ({ message }) => problems.push(message),
    });
    await registration.registered;
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    await list.names([a]);
    for (const isEmpty of [false, true]) {
      await etcd.stop();
      await list.complains(/cannot be/);
      await until(() => problems.length > 0, "the instance notices");
      await etcd.start({ isEmpty });
      await keysIn(etcd).put("shop/users/other", b);
      await list.names([a, b]);
      await keysIn(etcd).remove("shop/users/other");
      await list.names([a]);
    }
    expect(new Set(problems)).toEqual(new Set(["etcd cannot be told of this instance"]));
    await registration.end();
    expect(await keysIn(etcd).list()).toEqual([]);
  });

  test("that are killed are named no more when their leases are over", async () => {
    await using etcd = await open();
    await using other = await spawnInstance(placeIn(etcd), "other");
    await using killed = await spawnInstance(placeIn(etcd), "killed");
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    await list.names([other.url, killed.url]);
    killed.process.kill("SIGKILL");
    await killed.ended();
    await list.names([other.url]);
    expect(await keysIn(etcd).list()).toEqual(["shop/users/other"]);
  });
});

test("a place that is none, and what cannot be registered, is refused at once", () => {
  const place = { url: "http://127.0.0.1:1", prefix: "x/" };
  const options = { instance: "one", address: a };
  for (const wrong of [
    { ...place, url: "127.0.0.1:1" },
    { ...place, url: "ftp://127.0.0.1:1" },
    { ...place, prefix: "" },
  ]) {
    expect(() => etcdDirectory(wrong)).toThrow(TypeError);
    expect(() => registerInEtcd(wrong, options)).toThrow(TypeError);
  }
  expect(() => registerInEtcd(place, { ...options, address: "nonsense" })).toThrow(TypeError);
  for (const ttlSeconds of [1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => registerInEtcd(place, { ...options, ttlSeconds })).toThrow(TypeError);
  }
});
