import { describe, expect, test } from "vitest";
import { keysIn } from "../../../tests/etcd.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import type { FlotillaError } from "../base/errors.ts";
import { spawnChild } from "../testing/child.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { etcdDirectory } from "./etcd-directory.ts";
import { watchEtcd } from "./etcd-watch.ts";
import { type FakeEtcd, makeEtcdServer } from "./fixtures/etcd-server.ts";
import { placeIn } from "./fixtures/etcds.ts";
import { watching } from "./fixtures/watching.ts";

const a = "http://10.0.0.1:8081";
const b = "http://10.0.0.2:8081";
const c = "http://10.0.0.3:8081";
const intervalMs = 600_000;
const looks = ({ asked }: FakeEtcd) => asked.filter((path) => path === "/v3/kv/range").length;
const watches = ({ asked }: FakeEtcd) => asked.filter((path) => path === "/v3/watch").length;

/** Another clock, with what waits on it. */
function counted(clock: Clock) {
  const waiting = new Set<object>();
  const after: Clock["after"] = (delayMs, run) => {
    const timer = {};
    waiting.add(timer);
    const cancel = clock.after(delayMs, () => {
      waiting.delete(timer);
      run();
    });
    return () => {
      waiting.delete(timer);
      cancel();
    };
  };
  return { clock: { ...clock, after }, waiting };
}

test("an etcd that fails, answers nonsense or names nobody takes no instance away", async () => {
  await using etcd = await makeEtcdServer();
  const keys = keysIn(etcd);
  await keys.put("shop/users/1", a);
  using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs: 100 }));
  await list.names([a]);
  const path = "/v3/kv/range";
  for (const [status, body, complaint] of [
    [503, "{}", /HTTP 503$/],
    [400, '{"error":"etcdserver: user name is empty","code":3}', /HTTP 400: "etcdserver: user name is empty"$/],
    [200, `{"error":{"message":"${"no leader ".repeat(99)}"}}`, /HTTP 200: "(no leader ){20}"$/],
    [200, "<html>", /HTTP 200$/],
    [200, '{"kvs":7}', /no list/],
    [200, '{"kvs":[{"key":"YQ=="}]}', /has no value/],
    [200, '{"kvs":[{"value":"bm9uc2Vuc2U="}]}', /"nonsense" is no address/],
    [200, `{"kvs":"${"x".repeat(1024 * 1024)}"}`, /answers too much/],
  ] as const) {
    etcd.say = { path, status, body };
    await list.complains(complaint);
  }
  etcd.say = undefined;
  await keys.remove("shop/users/1");
  await list.complains(/names no instance/);
  expect(list.heard).toEqual([[a]]);
});

describe("a watch", () => {
  test.each([
    ["is refused", { status: 404, body: "Not Found" }, /HTTP 404/],
    ["ends at once", { status: 200, body: "", isOver: true }, /ended the watch/],
    ["ends when it has begun", { status: 200, body: "", isBegun: true, isOver: true }, /ended the watch/],
    [
      "is cancelled, for its revision is forgotten",
      { status: 200, body: '{"result":{"canceled":true,"compact_revision":"5"}}\n', isBegun: true },
      /cancelled the watch$/,
    ],
    [
      "is begun and cancelled in one",
      { status: 200, body: '{"result":{"created":true,"canceled":true,"cancel_reason":"user name is empty"}}\n' },
      /cancelled the watch: "user name is empty"/,
    ],
    ["fails", { status: 200, body: '{"error":{"http_code":503,"message":"no leader"}}\n' }, /failed: "no leader"/],
    ["is no JSON", { status: 200, body: "<html>\n", isBegun: true }, /says what cannot be/],
    ["is JSON of another kind", { status: 200, body: '{"result":[7]}\n[1]\n', isBegun: true }, /says what cannot be/],
    ["has a line without end", { status: 200, body: "x".repeat(1024 * 1024), isBegun: true }, /says too much/],
    ["has lines without end", { status: 200, body: '{"result":{}}\n'.repeat(80_000) }, /says too much/],
  ])("that %s is opened anew, and what has changed is found all the same", async (_, said, complaint) => {
    await using etcd = await makeEtcdServer();
    const keys = keysIn(etcd);
    await keys.put("shop/users/1", a);
    etcd.sayToWatch = said;
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, intervalMs }));
    await list.complains(complaint);
    await keys.put("shop/users/1", b);
    await list.names([b]);
    await until(() => watches(etcd) >= 4, "it is tried again");
    expect(list.problems).toMatchObject([{ code: "unavailable" }]);
    etcd.sayToWatch = undefined;
    await expect.poll(() => etcd.watches(), { timeout: 8_000 }).toBe(1);
    await keys.put("shop/users/1", c);
    await list.names([c]);
  });

  test("is worth a look when it begins, for what has changed before, and after each change", async () => {
    await using etcd = await makeEtcdServer();
    let changes = 0;
    const stop = watchEtcd(placeIn(etcd), { changed: () => changes++ });
    await until(() => changes === 1, "it has begun");
    await keysIn(etcd).put("shop/users/1", a);
    await until(() => changes === 2, "it has heard of it");
    stop();
  });

  test("that says nothing is given up after five seconds", async () => {
    await using etcd = await makeEtcdServer();
    etcd.sayToWatch = { status: 200, body: "" };
    const clock = makeVirtualClock();
    const problems: string[] = [];
    let changes = 0;
    const changed = () => changes++;
    const onProblem = ({ message }: FlotillaError) => problems.push(message);
    const stop = watchEtcd(placeIn(etcd), { changed, onProblem, clock, random: () => 1 });
    for (const attempt of [1, 2]) {
      await until(() => watches(etcd) === attempt, "it is asked");
      await clock.advance(4_999);
      expect(changes).toBe(attempt - 1);
      await clock.advance(1);
      expect(changes).toBe(attempt);
      await clock.advance(200 * attempt);
    }
    expect(problems).toEqual(["etcd: it begins no watch"]);
    await until(() => watches(etcd) === 3, "it is asked");
    stop();
  });

  test("is tried again after waits that grow and differ, and are short again when one has lasted", async () => {
    await using etcd = await makeEtcdServer();
    etcd.sayToWatch = { status: 503, body: "" };
    const waits: number[] = [];
    let nowMs = 0;
    const end = Promise.withResolvers<void>();
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => nowMs,
      after(delayMs, run) {
        // The end of its patience; no time passes here.
        if (delayMs === 5_000) return () => {};
        waits.push(delayMs);
        if (waits.length === 8) etcd.sayToWatch = undefined;
        if (waits.length === 10) end.resolve();
        else setImmediate(run);
        return () => {};
      },
    };
    let lots = 0;
    let changes = 0;
    const changed = () => {
      changes += 1;
      if (waits.length === 8 && changes > 8) {
        // It has begun, lasts, and ends.
        nowMs += 1_000;
        etcd.sayToWatch = { status: 503, body: "" };
        void etcd.stop().then(() => etcd.start());
      }
    };
    const stop = watchEtcd(placeIn(etcd), { changed, clock, random: () => 0.5 + (lots++ % 2) / 2 });
    await end.promise;
    expect(waits).toEqual([150, 400, 600, 1_600, 2_400, 6_400, 7_500, 10_000, 150, 400]);
    stop();
  });

  test("that says a thousand times that something has changed brings about one look in a tenth of a second", async () => {
    await using etcd = await makeEtcdServer();
    await keysIn(etcd).put("shop/users/1", a);
    const clock = makeVirtualClock();
    const events = '{"result":{"events":[{"kv":{}}]}}\n'.repeat(1_000);
    etcd.sayToWatch = { status: 200, body: events, isBegun: true };
    using list = watching((options) => etcdDirectory(placeIn(etcd), { ...options, clock }));
    await list.names([a]);
    await expect.poll(() => etcd.watches()).toBe(1);
    await keysIn(etcd).put("shop/users/1", b);
    await clock.settle();
    const before = looks(etcd);
    expect(before).toBe(1);
    await clock.advance(100);
    await list.names([b]);
    await clock.settle();
    expect(looks(etcd)).toBe(2);
  });

  test("leaves no connection and no timer behind, whenever it is ended", async () => {
    await using etcd = await makeEtcdServer();
    await keysIn(etcd).put("shop/users/1", a);
    const { clock, waiting } = counted(systemClock);
    const directory = etcdDirectory(placeIn(etcd), { clock });
    const isAsked = async () => {
      const before = watches(etcd);
      await until(() => watches(etcd) > before, "it is asked");
    };
    const begun = () => expect.poll(() => etcd.watches()).toBe(1);
    for (const [said, wait] of [
      [undefined, async () => {}],
      [undefined, isAsked],
      [undefined, begun],
      [{ status: 200, body: "" }, begun],
      [{ status: 503, body: "" }, isAsked],
      [{ status: 200, body: "", isBegun: true, isOver: true }, isAsked],
    ] as const) {
      etcd.sayToWatch = said;
      const stop = directory.watch(() => {});
      await wait();
      stop();
      await until(() => waiting.size === 0, "no timer is set");
      await expect.poll(() => etcd.watches()).toBe(0);
      expect(waiting.size).toBe(0);
    }
  });

  test("keeps no process alive that has nothing else to do", async () => {
    await using etcd = await makeEtcdServer();
    await keysIn(etcd).put("shop/users/1", a);
    const source = JSON.stringify(new URL("etcd-directory.ts", import.meta.url).href);
    await using child = spawnChild(`
      import { etcdDirectory } from ${source};
      etcdDirectory(${JSON.stringify(placeIn(etcd))}).watch((urls) => process.stdout.write(urls.join()));
    `);
    expect(await child.ended()).toBe(0);
    expect(child.output()).toBe(a);
  });
});
