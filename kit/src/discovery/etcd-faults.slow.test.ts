// F35 and F36 of tests/faults/README.md, with processes that register themselves.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Etcd, keysIn } from "../../../tests/etcd.ts";
import type { FlotillaError } from "../base/errors.ts";
import type { CallOptions } from "../client/caller.ts";
import { connectAll, type Instances } from "../client/instances.ts";
import type { Desk } from "../testing/desk.ts";
import { makeRig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";
import { etcdDirectory } from "./etcd-directory.ts";
import { describeWithEtcd, placeIn } from "./fixtures/etcds.ts";
import { spawnInstance } from "./fixtures/instance.ts";

const callerCount = 4;
/** Each caller's, between two calls. Milliseconds. */
const pauseMs = 5;

/** Callers that ask again and again until they are stopped. */
function sendCallers(all: Instances<Desk>, options: CallOptions = {}) {
  const failed: FlotillaError[] = [];
  let done = 0;
  let isOver = false;
  const callers = Array.from({ length: callerCount }, async () => {
    while (!isOver) {
      await all
        .call((main) => main.add(1, 2), options)
        .then(
          () => done++,
          (error: FlotillaError) => failed.push(error),
        );
      await sleep(pauseMs);
    }
  });
  return {
    failed,
    async more() {
      const before = done;
      await until(
        () => done >= before + 10 * callerCount,
        () => `calls are answered; failed: ${failed.at(-1)}`,
      );
    },
    async stop() {
      isOver = true;
      await Promise.all(callers);
    },
  };
}

function connectThrough(rig: ReturnType<typeof makeRig>, etcd: Etcd): Instances<Desk> {
  const all = connectAll<Desk>({ name: "home", directory: etcdDirectory(placeIn(etcd)) });
  rig.onEnd(() => all.close());
  return all;
}

const urlsOf = (all: Instances<Desk>) => all.report().map(({ url }) => url);

describeWithEtcd("while etcd is down", (open) => {
  test("no call fails, whoever is there goes on being asked, and who comes is found when it is back", async () => {
    await using etcd = await open();
    await using first = await spawnInstance(placeIn(etcd), "first");
    await using second = await spawnInstance(placeIn(etcd), "second");
    await using rig = makeRig();
    const all = connectThrough(rig, etcd);
    await all.opened();
    await until(() => all.openCount === 2, "both are open");
    const callers = sendCallers(all);
    await callers.more();
    await etcd.stop();
    const leaseOverMs = performance.now() + 2_500;
    while (performance.now() < leaseOverMs) await callers.more();
    expect(all.openCount).toBe(2);
    await etcd.start({ isEmpty: true });
    await using third = await spawnInstance(placeIn(etcd), "third");
    const urls = [first.url, second.url, third.url].sort();
    await expect.poll(() => (all.openCount === 3 ? urlsOf(all).sort() : []), { timeout: 15_000 }).toEqual(urls);
    await callers.more();
    await callers.stop();
    expect(callers.failed).toEqual([]);
  });
});

describeWithEtcd("an instance that is killed while its lease runs", (open) => {
  test.each([
    ["costs each caller one call at most", {}, callerCount],
    ["costs nobody a call that may be repeated", { isRepeatable: true }, 0],
  ])("%s, and is known no more when the lease is over", async (_, options, failuresMax) => {
    await using etcd = await open();
    await using other = await spawnInstance(placeIn(etcd), "other");
    await using killed = await spawnInstance(placeIn(etcd), "killed");
    await using rig = makeRig();
    const all = connectThrough(rig, etcd);
    await all.opened();
    await until(() => all.openCount === 2, "both are open");
    const callers = sendCallers(all, options);
    await callers.more();
    killed.process.kill("SIGKILL");
    await killed.ended();
    await callers.more();
    const failures = callers.failed.length;
    expect(failures).toBeLessThanOrEqual(failuresMax);
    expect(all.openCount).toBe(1);
    await callers.more();
    await expect.poll(() => urlsOf(all), { timeout: 15_000 }).toEqual([other.url]);
    expect(await keysIn(etcd).list()).toEqual(["shop/users/other"]);
    await callers.more();
    await callers.stop();
    expect(callers.failed).toHaveLength(failures);
  });
});
