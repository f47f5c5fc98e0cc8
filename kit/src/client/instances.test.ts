import { describe, expect, test } from "vitest";
import { currentContext, withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { spawnChild } from "../testing/child.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { makeRig, makeVirtualClock, outcome, until } from "../testing/index.ts";
import { makeRelay } from "../testing/relay.ts";
import { connectAll } from "./instances.ts";

/** A number from 0 to 1 for each member in turn: everybody gets as many calls. */
const inTurn = () => {
  let n = 0;
  return () => (n++ % 8) / 8;
};

async function withInstances(
  count: number,
  run: (system: {
    rig: ReturnType<typeof makeRig>;
    servers: { url: string; drain(): Promise<void> }[];
    desks: ReturnType<typeof makeDesk>[];
    all: ReturnType<typeof connectAll<Desk>>;
  }) => Promise<void>,
): Promise<void> {
  await using rig = makeRig();
  const desks = Array.from({ length: count }, () => makeDesk());
  const servers = await Promise.all(desks.map((desk) => rig.serve({ main: desk.mainFor })));
  using all = connectAll<Desk>({ name: "home", urls: servers.map(({ url }) => url), random: inTurn() });
  const opened = Array.from({ length: count * 8 }, () => all.pick().opened());
  await Promise.all(opened);
  expect(all.openCount).toBe(count);
  await run({ rig, servers, desks, all });
}

describe("calls to several instances", () => {
  test("go to all of them, and past the busy one", async () => {
    await withInstances(3, async ({ all }) => {
      const asked = new Set<unknown>();
      for (let n = 0; n < 24; n += 1) asked.add(await all.call(async (main) => (await main.add(1, 2)) && main));
      expect(asked.size).toBe(3);
    });
    await withInstances(2, async ({ all }) => {
      const slow = Promise.withResolvers<number>();
      let busy: unknown;
      const hung = all.call((main) => {
        busy = main;
        return slow.promise;
      });
      for (let n = 0; n < 8; n += 1) await all.call(async (main) => expect(main).not.toBe(busy));
      slow.resolve(1);
      expect(await hung).toBe(1);
    });
  });

  test("are sent to another when one is stopping, and none fails", async () => {
    await withInstances(2, async ({ servers, all }) => {
      const failed: unknown[] = [];
      let done = 0;
      let isOver = false;
      const callers = Array.from({ length: 8 }, async () => {
        while (!isOver) {
          await all.call((main) => main.add(1, 2)).catch((error: unknown) => failed.push(error));
          done += 1;
        }
      });
      await until(() => done > 50, "calls are answered");
      await servers[0]!.drain();
      const before = done;
      await until(() => done > before + 50, "calls are answered by the other");
      isOver = true;
      await Promise.all(callers);
      expect(failed).toEqual([]);
      expect(all.openCount).toBe(1);
      expect(all.isOpen).toBe(true);
    });
  });

  test("are sent to another when one refuses them because it is stopping, though they may not be repeated", async () => {
    await withInstances(2, async ({ all }) => {
      const asked: unknown[] = [];
      const refuse = () =>
        Promise.reject(new FlotillaError("unavailable", "The service is stopping", { reason: "stopping" }));
      const done = await all.call((main) => {
        asked.push(main);
        return asked.length === 1 ? refuse() : Promise.resolve("done");
      });
      expect(done).toBe("done");
      expect(new Set(asked).size).toBe(2);
      asked.length = 0;
      const refused = all.call((main) => {
        asked.push(main);
        return refuse();
      });
      await expect(refused).rejects.toMatchObject({ code: "unavailable", reason: "stopping" });
      expect(new Set(asked).size).toBe(2);
    });
  });

  test("may be repeated when their answer was lost, and only if their caller says so", async () => {
    await withInstances(2, async ({ all }) => {
      let attempts = 0;
      const lost = () => {
        attempts += 1;
        return attempts === 1 ? Promise.reject(new FlotillaError("unavailable", "lost")) : Promise.resolve(attempts);
      };
      await expect(all.call(lost)).rejects.toMatchObject({ code: "unavailable" });
      attempts = 0;
      expect(await all.call(lost, { isRepeatable: true })).toBe(2);
      attempts = 0;
      const wrong = () => {
        attempts += 1;
        return Promise.reject(new FlotillaError("invalid_argument", "wrong"));
      };
      await expect(all.call(wrong, { isRepeatable: true })).rejects.toMatchObject({ code: "invalid_argument" });
      expect(attempts).toBe(1);
    });
  });

  test("a service that fails everything is sent at most 1.2 times its calls, left alone, and tried again", async () => {
    await withInstances(1, async ({ all }) => {
      let isBroken = true;
      let sent = 0;
      const work = async () => {
        sent += 1;
        if (isBroken) throw new FlotillaError("unavailable", "broken");
        return "done";
      };
      const outcomes = new Map<string, number>();
      const calls = 500;
      for (let n = 0; n < calls; n += 1) {
        await all.call(work).catch(({ code, reason, retryAfterMs }: FlotillaError) => {
          outcomes.set(reason ?? code, (outcomes.get(reason ?? code) ?? 0) + 1);
          if (reason === "circuit_open") expect(retryAfterMs).toBeGreaterThan(0);
        });
      }
      expect(sent).toBeLessThan(calls / 10);
      expect(outcomes.get("circuit_open")).toBe(calls - sent);
      expect(await all.call(async () => "read", { group: "reads" })).toBe("read");
      isBroken = false;
      await expect.poll(() => all.call(work).catch(() => "not yet")).toBe("done");
      expect(await all.call(work)).toBe("done");
    });
  });

  test("the call that tries whether a service is well again hangs: the next one tries too", async () => {
    await withInstances(1, async ({ all }) => {
      const broken = () => Promise.reject(new FlotillaError("unavailable", "broken"));
      for (let n = 0; n < 5; n += 1) await expect(all.call(broken)).rejects.toMatchObject({ code: "unavailable" });
      const state = () => all.report()[0]!.breakers[""];
      expect(state()).toBe("open");
      await until(() => state() === "half_open", "it may be tried");
      const { promise, resolve } = Promise.withResolvers<string>();
      const trial = all.call(() => promise);
      await expect(all.call(async () => "early")).rejects.toMatchObject({ reason: "circuit_open" });
      await expect.poll(() => all.call(async () => "done").catch(() => "not yet")).toBe("done");
      expect(state()).toBe("closed");
      resolve("late");
      expect(await trial).toBe("late");
    });
  });

  test.each(["internal", "deadline_exceeded"] as const)(
    "what one caller can bring about, `%s`, opens no circuit",
    async (code) => {
      await withInstances(1, async ({ all }) => {
        const fails = () => Promise.reject(new FlotillaError(code, "failed"));
        for (let n = 0; n < 20; n += 1) await expect(all.call(fails)).rejects.toMatchObject({ code });
      });
    },
  );

  test("retries stay within a fifth of the calls", async () => {
    await withInstances(1, async ({ all }) => {
      let sent = 0;
      const work = async () => {
        sent += 1;
        throw new FlotillaError("unavailable", "away");
      };
      const calls = 400;
      const how = { isRepeatable: true, awayMsMax: 0 };
      const startMs = performance.now();
      const all400 = Array.from({ length: calls }, () => all.call(work, how).catch(() => {}));
      await Promise.all(all400);
      // And ten a second for who seldom calls.
      const few = 20 + (performance.now() - startMs) / 100;
      expect(sent).toBeLessThanOrEqual(calls * 1.2 + few);
      const { notRepeated } = all.stats();
      expect(notRepeated).toBeGreaterThanOrEqual(calls * 0.8 - few);
      expect(notRepeated).toBeLessThanOrEqual(calls * 0.8);
    });
  });

  test("what an open circuit holds back costs no retry", async () => {
    await withInstances(1, async ({ all }) => {
      const broken = () => Promise.reject(new FlotillaError("unavailable", "broken"));
      for (let n = 0; n < 5; n += 1) await expect(all.call(broken)).rejects.toMatchObject({ code: "unavailable" });
      const held = Array.from({ length: 50 }, () => all.call(broken, { isRepeatable: true, awayMsMax: 0 }));
      for (const { reason } of (await Promise.allSettled(held)) as PromiseRejectedResult[]) {
        expect(reason).toMatchObject({ reason: "circuit_open" });
      }
      await until(() => all.report()[0]!.breakers[""] === "half_open", "it may be tried");
      // Of one that was sent its caller hears what the service said, and not that nothing was sent after that.
      await expect(all.call(broken, { isRepeatable: true, awayMsMax: 0 })).rejects.toMatchObject({ message: "broken" });
      expect(all.stats()).toMatchObject({ repeated: 0, notRepeated: 0 });
      expect(await all.call(async () => "done", { isRepeatable: true })).toBe("done");
    });
  });

  test("many that wait for an instance that is away are all answered when it is back", async () => {
    await using rig = makeRig();
    const [desk, clock] = [makeDesk(), makeVirtualClock()];
    const gone = await rig.serve({ main: desk.mainFor });
    await gone.drain();
    using all = connectAll<Desk>({ name: "home", urls: [gone.url], clock });
    await expect(all.opened()).rejects.toMatchObject({ code: "unavailable" });
    const calls = Array.from({ length: 200 }, () => all.call((main) => main.add(1, 2), { isRepeatable: true }));
    await clock.advance(1_000);
    await rig.serve({ main: desk.mainFor, port: Number(new URL(gone.url).port) });
    const answers = Promise.all(calls);
    expect(new Set(await clock.run(answers))).toEqual(new Set([3]));
    expect(desk.calls).toHaveLength(200);
    expect(all.stats()).toMatchObject({ repeated: 0, notRepeated: 0 });
  });

  test("the first of all waits for no instance that is silent, though chance would have it", async () => {
    await using rig = makeRig();
    await using silent = await makeRelay();
    const here = await rig.serve({ main: makeDesk().mainFor });
    using all = connectAll<Desk>({ name: "home", urls: [silent.url, here.url], random: () => 0 });
    expect(await withContext({ timeoutMs: 3_000 }, () => all.call((main) => main.add(1, 2)))).toBe(3);
  });

  test("the first of all goes to the instance that is there, though another one was chosen", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const [gone, here] = [await rig.serve({ main: desk.mainFor }), await rig.serve({ main: desk.mainFor })];
    await gone.drain();
    using all = connectAll<Desk>({ name: "home", urls: [gone.url, here.url], random: () => 0 });
    expect(await all.call((main) => main.add(1, 2))).toBe(3);
    expect(all.stats().repeated).toBe(0);
  });

  test("what was sent to one run and then to the next counts as sent again", async () => {
    await using rig = makeRig();
    const [lost, next] = [makeDesk(), makeDesk()];
    const first = await rig.serve({ main: lost.mainFor });
    using all = connectAll<Desk>({ name: "home", urls: [first.url] });
    await all.opened();
    const call = all.call((main) => main.hang(), { isRepeatable: true });
    await lost.hanging();
    await first.drain(0);
    await rig.serve({ main: next.mainFor, port: Number(new URL(first.url).port) });
    await until(() => next.calls.includes("hang"), "it is sent again");
    next.answerAll();
    expect(await call).toBe("answered");
    expect(all.stats().repeated).toBe(1);
  });

  test("what could not be sent was not sent again", async () => {
    await using rig = makeRig();
    const gone = await rig.serve({ main: makeDesk().mainFor });
    await gone.drain();
    using all = connectAll<Desk>({ name: "home", urls: [gone.url] });
    const refused = all.call((main) => main.add(1, 2), { isRepeatable: true, attemptsMax: 3 });
    await expect(refused).rejects.toMatchObject({ code: "unavailable" });
    expect(all.stats().repeated).toBe(0);
  });

  test("keep a program running while they wait for an instance that is away", async () => {
    await using child = spawnChild(`
      const { connectAll } = await import(${JSON.stringify(new URL("../index.ts", import.meta.url).href)});
      const all = connectAll({ name: "home", urls: ["http://127.0.0.1:1"] });
      await all.call((main) => main.add(1, 2), { isRepeatable: true, attemptsMax: 3 }).catch(({ reason }) => console.log(reason));
      all.close();
    `);
    expect(await child.ended()).toBe(0);
    expect(child.output()).toBe("connection_refused\n");
  });

  test("wait for the first of all, and fail with its reason when none is there", async () => {
    await using rig = makeRig();
    const server = await rig.serve({ main: makeDesk().mainFor });
    await server.drain();
    using all = connectAll<Desk>({ name: "home", urls: [server.url, server.url] });
    await expect(all.opened()).rejects.toMatchObject({ code: "unavailable", reason: "connection_refused" });
    await expect(all.call((main) => main.add(1, 2))).rejects.toMatchObject({ reason: "connection_refused" });
    expect(all.isOpen).toBe(false);
    expect(() => connectAll({ name: "home", urls: [] })).toThrow(TypeError);
  });
});

test("an instance that answers none of its calls is silent from the first of them, or from its last answer", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const { url } = await rig.serve({ main: makeDesk().mainFor });
  using all = connectAll<Desk>({ name: "home", urls: [url], clock });
  await all.opened();
  const silentMs = () => all.report()[0]!.silentMs;
  expect(silentMs()).toBe(0);
  const hangs = Promise.withResolvers<string>();
  const hung = all.call(() => hangs.promise);
  await clock.advance(1_500);
  expect(silentMs()).toBe(1_500);
  // Neither a caller whose time is over nor one who was cut off was answered; one who was refused was.
  for (const code of ["deadline_exceeded", "unavailable"] as const) {
    await all.call(() => Promise.reject(new FlotillaError(code, "no answer"))).catch(() => {});
    expect(silentMs()).toBe(1_500);
  }
  await all.call(() => Promise.reject(new FlotillaError("not_found", "refused"))).catch(() => {});
  expect(silentMs()).toBe(0);
  await clock.advance(500);
  expect(silentMs()).toBe(500);
  hangs.resolve("late");
  await hung;
  expect(silentMs()).toBe(0);
});

test("an instance that is away is silent since it went", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const gone = await rig.serve({ main: makeDesk().mainFor });
  using all = connectAll<Desk>({ name: "home", urls: [gone.url], clock, random: () => 1 });
  await all.opened();
  await clock.advance(1_000);
  await gone.drain();
  await until(() => !all.isOpen, "it is away");
  await clock.advance(40);
  expect(all.report()[0]!.silentMs).toBe(40);
});

test("a call ends by its deadline, also while the directory is silent", async () => {
  const clock = makeVirtualClock();
  const late = { code: "deadline_exceeded" };
  using unknown = connectAll<Desk>({ name: "home", directory: { watch: () => () => {} }, clock });
  const asked = withContext({ timeoutMs: 1_000 }, () => outcome(unknown.call((main) => main.add(1, 2))), clock);
  await expect(clock.run(asked)).rejects.toMatchObject(late);
  expect(clock.monotonicMs()).toBe(1_000);
});

test("a call that brings no deadline has one for all its attempts", async () => {
  await withInstances(1, async ({ all }) => {
    let attempts = 0;
    const deadlines = new Set<number | undefined>();
    const asked = all.call(
      async () => {
        deadlines.add(currentContext()?.deadlineAtMs);
        if (++attempts < 3) throw new FlotillaError("unavailable", "lost");
      },
      { isRepeatable: true },
    );
    await asked;
    expect([...deadlines]).toEqual([expect.any(Number)]);
  });
});
