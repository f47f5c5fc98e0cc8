import { describe, expect, test } from "vitest";
import type { Clock } from "../base/clock.ts";
import { withContext } from "../base/context.ts";
import { hasCode } from "../base/errors.ts";
import { linkLimits, pingIntervalMs, pongMsMax } from "../base/limits.ts";
import type { Server } from "../server/serve.ts";
import { spawnChild } from "../testing/child.ts";
import { type Desk, makeDesk, type TestDesk } from "../testing/desk.ts";
import { makeRelay } from "../testing/relay.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";

const away = { code: "unavailable", message: expect.stringMatching(/^home cannot be reached/) };

/** A clock that is virtual, with the timers that were set on it. */
function makeWatchedClock(): VirtualClock & { readonly waits: number[]; pending(): number } {
  const clock = makeVirtualClock();
  const waits: number[] = [];
  const running = new Set<object>();
  const after: Clock["after"] = (delayMs, run) => {
    waits.push(delayMs);
    const timer = {};
    running.add(timer);
    const cancel = clock.after(delayMs, () => {
      running.delete(timer);
      run();
    });
    return () => {
      running.delete(timer);
      cancel();
    };
  };
  return { ...clock, after, waits, pending: () => running.size };
}

/** The port of a server that is gone; nobody else takes it while the test runs. */
async function freedPort(rig: Rig): Promise<{ port: number; url: string }> {
  const { url, drain } = await rig.serve({ main: makeDesk().mainFor });
  await drain();
  return { url, port: Number(new URL(url).port) };
}

async function restart(rig: Rig, server: Server, desk: TestDesk): Promise<Server> {
  const port = Number(new URL(server.url).port);
  await server.drain();
  return await rig.serve({ main: desk.mainFor, port });
}

test("more than an edge takes of an anonymous client fails its call, and no other's", async () => {
  await using rig = makeRig();
  const desk = makeDesk();
  const { url } = await rig.serve({ main: desk.mainFor });
  const connection = rig.connect<Desk>({ url });
  const hanging = outcome(connection.main.hang());
  await desk.hanging();
  await expect(outcome(connection.main.add("x".repeat(300_000) as never, 1))).rejects.toMatchObject({
    code: "resource_exhausted",
    reason: "message_too_large",
    message: expect.stringContaining("add would be more than 262144 bytes"),
  });
  desk.answerAll();
  expect(await hanging).toBeDefined();
  const wide = rig.connect<Desk>({ url, sendLimits: linkLimits });
  await expect(outcome(wide.main.add("x".repeat(300_000) as never, 1))).rejects.toMatchObject({ code: "unavailable" });
});

describe("a connection", () => {
  test("opens when it is first used, and once for all who use it", async () => {
    await using rig = makeRig();
    await using relay = await makeRelay((await rig.serve({ main: makeDesk().mainFor })).url);
    const connection = rig.connect<Desk>({ url: relay.url });
    expect([relay.accepted(), connection.isOpen, connection.instance, connection.stats()]).toEqual([
      0,
      false,
      undefined,
      { imports: 0, exports: 0 },
    ]);
    const sums = [connection.main.add(1, 1), connection.main.add(2, 2), connection.main.add(3, 3)];
    expect(await Promise.all(sums)).toEqual([2, 4, 6]);
    await connection.opened();
    expect([relay.accepted(), connection.isOpen]).toEqual([1, true]);
    connection.close();
  });

  test("pipelines calls on a capability while it still opens", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const { url } = await rig.serve({ main: desk.mainFor });
    const connection = rig.connect<Desk>({ url });
    using ticket = connection.main.take(5);
    using copy = ticket.dup();
    expect(connection.isOpen).toBe(false);
    expect(await Promise.all([ticket.getNumber(), copy.getNumber()])).toEqual([5, 5]);
    ticket[Symbol.dispose]();
    copy[Symbol.dispose]();
    await until(() => desk.live() === 1, "the ticket released");
  });

  test("is not ended by a caller who disposes the main object that it got while it opened", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const connection = rig.connect<Desk>({ url });
    {
      using early = connection.main;
      expect(await early.add(1, 1)).toBe(2);
    }
    expect(await connection.main.add(2, 2)).toBe(4);
    expect(connection.isOpen).toBe(true);
  });

  test("keeps the deadline of a call that waits for it to open", async () => {
    await using rig = makeRig();
    await using silent = await makeRelay();
    const clock = makeWatchedClock();
    const connection = rig.connect<Desk>({ url: silent.url, clock });
    const call = withContext({ timeoutMs: 100 }, () => outcome(connection.main.add(1, 1)), clock);
    call.catch(() => {});
    await until(() => silent.accepted() === 1, "the dial");
    await clock.advance(100);
    await expect(call).rejects.toMatchObject({ code: "deadline_exceeded" });
    connection.close();
  });
});

describe("a peer that is away", () => {
  test("is `unavailable` to the first caller and to all later ones, at once and without another attempt", async () => {
    await using rig = makeRig();
    const { url } = await freedPort(rig);
    const clock = makeWatchedClock();
    const connection = rig.connect<Desk>({ url, clock });
    await expect(outcome(connection.main.add(1, 1))).rejects.toMatchObject(away);
    expect(clock.waits).toHaveLength(1);
    await expect(outcome(connection.main.add(1, 1))).rejects.toMatchObject(away);
    await expect(outcome(connection.main.take(1).getNumber())).rejects.toMatchObject(away);
    await expect(connection.opened()).rejects.toMatchObject(away);
    // Held by nobody, it is no unhandled rejection either; the rig would say.
    void connection.main;
    expect(clock.waits).toHaveLength(1);
  });

  test("works when it comes, without a restart of ours: either may start first", async () => {
    await using rig = makeRig();
    const { url, port } = await freedPort(rig);
    const clock = makeWatchedClock();
    const connection = rig.connect<Desk>({ url, clock });
    await expect(connection.opened()).rejects.toMatchObject(away);
    await rig.serve({ main: makeDesk().mainFor, port });
    await clock.advance(50);
    await until(() => connection.isOpen, "open");
    expect(await connection.main.add(1, 2)).toBe(3);
  });

  test("is called again after waits that grow by a quarter from 50 ms to 2 s and are jittered by half", async () => {
    for (const random of [0, 1]) {
      const longest = Array.from({ length: 19 }, (_, n) => Math.min(50 * 1.25 ** n, 2_000));
      const expected = longest.map((ms) => ms * (random === 0 ? 0.5 : 1));
      await using rig = makeRig();
      const { url } = await freedPort(rig);
      const clock = makeWatchedClock();
      const connection = rig.connect<Desk>({ url, clock, random: () => random });
      await expect(connection.opened()).rejects.toMatchObject(away);
      for (let attempt = 1; attempt < expected.length; attempt += 1) {
        await clock.advance(clock.waits.at(-1) ?? 0);
        await until(() => clock.waits.length > attempt, "the next wait");
      }
      expect(clock.waits).toEqual(expected);
    }
  });

  test("is not called in a storm when it takes connections and drops them", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    await using relay = await makeRelay((await rig.serve({ main: desk.mainFor })).url);
    const clock = makeWatchedClock();
    const connection = rig.connect<Desk>({ url: relay.url, clock, random: () => 1 });
    const retries = () => clock.waits.filter((ms) => ms !== pingIntervalMs);
    for (let round = 1; round <= 5; round += 1) {
      await (round === 1 ? connection.opened() : until(() => connection.isOpen, "open"));
      relay.cut();
      await until(() => !connection.isOpen && retries().length === round, "dropped");
      await clock.advance(retries().at(-1) ?? 0);
    }
    expect(retries()).toEqual([50, 62.5, 78.125, 97.65625, 122.0703125]);
    await until(() => connection.isOpen, "open");
    await clock.advance(1_000);
    relay.cut();
    await until(() => !connection.isOpen, "dropped");
    expect(retries().at(-1)).toBe(50);
    connection.close();
    await until(() => desk.live() === 0, "the server has noticed");
  });

  test("whose cable was pulled is noticed after one ping, and its callers get `unavailable`", async () => {
    await using rig = makeRig();
    const serverClock = makeVirtualClock();
    const desk = makeDesk(serverClock);
    await using relay = await makeRelay((await rig.serve({ main: desk.mainFor, clock: serverClock })).url);
    const clock = makeWatchedClock();
    const connection = rig.connect<Desk>({ url: relay.url, clock });
    await connection.opened();
    relay.freeze();
    const call = outcome(connection.main.add(1, 2));
    call.catch(() => {});
    await clock.advance(pingIntervalMs + pongMsMax - 1);
    expect(connection.isOpen).toBe(true);
    await clock.advance(1);
    await expect(call).rejects.toMatchObject({ code: "unavailable" });
    await until(() => !connection.isOpen, "away");
    await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject(away);
    relay.thaw();
    await clock.advance(50);
    await until(() => connection.isOpen, "open again");
    expect(await connection.main.add(1, 2)).toBe(3);
    connection.close();
    await until(() => desk.live() === 1, "only the session at the other end of the pulled cable left");
    await serverClock.advance(7_000);
    await until(() => desk.live() === 0, "that end noticed by itself");
  });
});

describe("a server that restarts", () => {
  test("20 times is reached again each time; capabilities of before are `unavailable`", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    let server = await rig.serve({ main: desk.mainFor });
    const clock = makeWatchedClock();
    const connection = rig.connect<Desk>({ url: server.url, clock });
    await connection.opened();
    for (let round = 0; round < 20; round += 1) {
      using ticket = await connection.main.take(round);
      expect(await ticket.getNumber()).toBe(round);
      server = await restart(rig, server, desk);
      await until(() => !connection.isOpen, "away");
      await expect(outcome(ticket.getNumber())).rejects.toMatchObject({ code: "unavailable" });
      await clock.advance(2_000);
      await until(() => connection.isOpen, "open again");
    }
    expect(desk.live()).toBe(1);
    // The heartbeat, and nothing that is left over from before.
    expect(clock.pending()).toBe(1);
  });

  test("under 1,000 calls answers each or says `unavailable`, and nothing leaks", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    let server = await rig.serve({ main: desk.mainFor });
    const connection = rig.connect<Desk>({ url: server.url });
    await connection.opened();
    const outcomes: Promise<number | string>[] = [];
    const settle = async (call: PromiseLike<number>) => {
      try {
        return await call;
      } catch (error) {
        return hasCode(error, "unavailable") ? "unavailable" : String(error);
      }
    };
    const add = async (index: number) => await connection.main.add(index, 0);
    const take = async (index: number) => {
      using ticket = connection.main.take(index);
      return await ticket.getNumber();
    };
    for (let index = 0; index < 1_000; index += 1) {
      outcomes.push(settle(index % 2 === 0 ? add(index) : take(index)));
      if (index === 500) server = await restart(rig, server, desk);
      if (index % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const results = await Promise.all(outcomes);
    await until(() => connection.isOpen, "open again");
    const odd = results.filter((result, index) => result !== index && result !== "unavailable");
    expect(odd).toEqual([]);
    expect(results.filter((result) => typeof result === "number").length).toBeGreaterThan(100);
    expect(await connection.main.add(1, 2)).toBe(3);
    await until(() => desk.live() === 1 && connection.stats().imports === 1, "nothing but the session's main object");
  });
});

describe("a connection that is closed", () => {
  test("ends its timers, in every state", async () => {
    await using rig = makeRig();
    const { url: deadUrl } = await freedPort(rig);
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    await using silent = await makeRelay();
    const closed = { code: "unavailable", message: "The connection to home was closed" };
    for (const at of ["idle", "opening", "open", "away"] as const) {
      const clock = makeWatchedClock();
      const to = { idle: url, opening: silent.url, open: url, away: deadUrl }[at];
      const connection = rig.connect<Desk>({ url: to, clock });
      if (at === "open") await connection.opened();
      if (at === "away") await connection.opened().catch(() => {});
      const waiting = at === "opening" ? outcome(connection.main.add(1, 1)) : undefined;
      if (waiting) {
        waiting.catch(() => {});
        await until(() => silent.accepted() === 1, "the dial");
      }
      const startMs = performance.now();
      connection.close();
      connection.close();
      // While it was open there is one more: the patience for its parting.
      if (at !== "open") expect(clock.pending()).toBe(0);
      if (waiting) {
        await expect(waiting).rejects.toMatchObject(closed);
        // Not by the time-out of the handshake, which is 5 s.
        expect(performance.now() - startMs).toBeLessThan(2_500);
      }
      await expect(outcome(connection.main.add(1, 1))).rejects.toMatchObject(closed);
      await expect(connection.opened()).rejects.toMatchObject(closed);
      await clock.advance(10_000);
      expect([at, connection.isOpen, clock.pending()]).toEqual([at, false, 0]);
    }
  });

  test("while it opens, does not open", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    for (let turns = 0; turns < 12; turns += 1) {
      const connection = rig.connect<Desk>({ url: server.url });
      connection.opened().catch(() => {});
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      connection.close();
      expect(connection.isOpen).toBe(false);
    }
    await until(() => server.stats().sessions === 0 && desk.live() === 0, "no session left");
  });

  test("in the very turn in which it opened, stays closed", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const clock = makeVirtualClock();
    // The heartbeat is set when the socket is open, and the session is not yet known.
    const after: Clock["after"] = (delayMs, run) => {
      if (delayMs === pingIntervalMs) queueMicrotask(() => connection.close());
      return clock.after(delayMs, run);
    };
    const connection = rig.connect<Desk>({ url: server.url, clock: { ...clock, after } });
    await expect(connection.opened()).rejects.toMatchObject({ message: "The connection to home was closed" });
    expect([connection.isOpen, connection.instance]).toEqual([false, undefined]);
    await until(() => server.stats().sessions === 0 && desk.live() === 0, "no session left");
  });

  test("lets the process end, also in the middle of an attempt that nobody answers", async () => {
    await using rig = makeRig();
    await using silent = await makeRelay();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const program = `
      import { connect } from ${JSON.stringify(new URL("./connect.ts", import.meta.url).href)};
      const open = connect({ name: "home", url: ${JSON.stringify(url)} });
      console.log(await open.main.add(1, 2));
      const opening = connect({ name: "home", url: ${JSON.stringify(silent.url)} });
      opening.opened().catch((error) => console.log(error.message));
      const away = connect({ name: "home", url: "http://127.0.0.1:1" });
      away.opened().catch((error) => {
        console.log(error.message);
        for (const connection of [open, opening, away]) connection.close();
      });
    `;
    await using child = spawnChild(program);
    expect(await child.ended()).toBe(0);
    expect(child.output()).toBe(
      "3\nhome cannot be reached: nothing listens at its address\nThe connection to home was closed\n",
    );
  });
});

test("a connection whose peer is away tries again at once when it is told to, and not in a storm", async () => {
  await using rig = makeRig();
  const first = await rig.serve({ main: makeDesk().mainFor });
  const clock = makeVirtualClock();
  const home = rig.connect<Desk>({ url: first.url, clock });
  await home.opened();
  await first.drain();
  await until(() => !home.isOpen, "it is away");
  // On this clock no wait is ever over.
  const desk = makeDesk();
  await rig.serve({ main: desk.mainFor, port: Number(new URL(first.url).port) });
  for (let n = 0; n < 100; n += 1) home.retry();
  await until(() => home.isOpen, "it is back");
  home.retry();
  await until(() => desk.live() === 1, "one session");
  expect(await outcome(home.main.add(1, 2))).toBe(3);
  expect(home.sessionNumber).toBe(2);
});
