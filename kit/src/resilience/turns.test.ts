import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeLoad } from "./load.ts";
import { makeTurns, type SessionTurns, type Turn, type TurnLimits } from "./turns.ts";

const limits: TurnLimits = {
  runningCallsMax: 100,
  turnsPerSessionMax: 2,
  turnsPerAddressMax: 3,
  waitingCallsMax: 5,
  overloadWaitMsMax: 10,
};

function makeBench(own: Partial<TurnLimits> = {}) {
  const clock = makeVirtualClock();
  const turns = makeTurns({ ...limits, ...own }, clock, makeLoad(clock));
  const order: string[] = [];
  const given = new Map<string, Turn>();
  /** Takes a turn and notes when it came. @returns settles when it came, or was refused. */
  const take = async (session: SessionTurns, name: string) => {
    const turn = session.take();
    if (!(turn instanceof Promise)) order.push(name);
    else await turn.then(() => order.push(name));
    given.set(name, await turn);
  };
  const end = async (name: string) => {
    given.get(name)?.end();
    await clock.settle();
  };
  return { clock, turns, order, take, end };
}

describe("turns", () => {
  test("are had at once, up to a session's share; the rest come in order", async () => {
    const { turns, order, take, end } = makeBench();
    const session = turns.join();
    for (const name of ["1", "2", "3", "4"]) void take(session, name);
    await end("");
    expect(order).toEqual(["1", "2"]);
    await end("2");
    await end("1");
    expect(order).toEqual(["1", "2", "3", "4"]);
    expect(turns.isIdle()).toBe(false);
    await end("3");
    await end("4");
    expect(turns.isIdle()).toBe(true);
  });

  test("are taken from the slow also when all that may run did, and ended since", async () => {
    const { clock, turns, order, take, end } = makeBench({
      runningCallsMax: 4,
      turnsPerAddressMax: 2,
      waitingCallsMax: 9,
    });
    const session = turns.join();
    for (let n = 1; n <= 9; n += 1) void take(session, `${n}`);
    await clock.advance(2_000);
    expect(order).toEqual(["1", "2", "3", "4"]);
    for (const name of ["1", "2", "3", "4"]) await end(name);
    await clock.advance(2_000);
    expect(order).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
  });

  test("go round: one that asks for much stands before itself", async () => {
    const { turns, order, take, end } = makeBench({ waitingCallsMax: 100 });
    const greedy = turns.join();
    for (let i = 1; i <= 20; i += 1) void take(greedy, `greedy${i}`);
    const second = turns.join();
    void take(second, "second1");
    for (const name of ["a", "b"]) void take(turns.join(), name);
    void take(second, "second2");
    await end("");
    expect(order).toEqual(["greedy1", "greedy2", "second1"]);
    for (const name of ["greedy1", "greedy2", "second1"]) await end(name);
    expect(order.slice(3)).toEqual(["greedy3", "a", "b"]);
    await end("b");
    expect(order.slice(6)).toEqual(["second2"]);
  });

  test("are not given to a call that has waited half of its time", async () => {
    const { clock, turns, take, end } = makeBench({ turnsPerSessionMax: 1 });
    const session = turns.join();
    await take(session, "first");
    const arrivedAtMs = clock.monotonicMs();
    const [hurried, patient] = [100, 1_000].map((timeMs) =>
      session.take({ arrivedAtMs, deadlineAtMs: arrivedAtMs + timeMs }),
    );
    const refused = expect(hurried).rejects.toMatchObject({ code: "resource_exhausted", reason: "overloaded" });
    await clock.advance(60);
    await end("first");
    await refused;
    (await patient!).end();
    expect(turns.isIdle()).toBe(true);
  });

  test("are given on at once when many have waited too long, which are refused over several turns of the event loop", async () => {
    const { clock, turns } = makeBench({ turnsPerSessionMax: 1, waitingCallsMax: 200 });
    const session = turns.join();
    const first = session.take() as Turn;
    const arrivedAtMs = clock.monotonicMs();
    const call = async (timeMs: number) => session.take({ arrivedAtMs, deadlineAtMs: arrivedAtMs + timeMs });
    let refused = 0;
    for (let n = 0; n < 140; n += 1) void call(100).catch(() => (refused += 1));
    const patient = call(10_000);
    await clock.advance(60);
    first.end();
    (await patient).end();
    expect(refused).toBe(64);
    await nextTurn();
    expect(refused).toBe(128);
    await nextTurn();
    expect(refused).toBe(140);
    expect(turns.isIdle()).toBe(true);
  });

  test("are given away by a call that takes long, which still counts as running", async () => {
    const { clock, turns, order, take, end } = makeBench({ runningCallsMax: 4 });
    const session = turns.join();
    for (const name of ["1", "2", "3", "4", "5"]) void take(session, name);
    await clock.advance(249);
    expect(order).toEqual(["1", "2"]);
    await clock.advance(1);
    expect(order).toEqual(["1", "2", "3", "4"]);
    await clock.advance(10_000);
    expect(order).toHaveLength(4);
    expect(() => session.take()).toThrow(expect.objectContaining({ reason: "too_many_calls" }));
    await end("1");
    expect(order).toHaveLength(5);
  });

  test("are refused when too many wait, but a neighbour keeps places of its own", async () => {
    const { clock, turns, order, take, end } = makeBench();
    const greedy = turns.join();
    for (let i = 1; i <= 7; i += 1) void take(greedy, `greedy${i}`);
    await expect(take(greedy, "more")).rejects.toMatchObject({ code: "resource_exhausted", retryable: true });
    const neighbour = turns.join();
    void take(neighbour, "1");
    void take(neighbour, "2");
    void take(neighbour, "3");
    await expect(take(neighbour, "4")).rejects.toMatchObject({ reason: "too_many_calls" });
    await end("1");
    expect(order).toEqual(["greedy1", "greedy2", "1", "2"]);
    await clock.settle();
  });

  test("are dropped with the session that waited, and its neighbours go on", async () => {
    const { turns, order, take, end } = makeBench();
    const leaving = turns.join();
    const dropped = ["1", "2", "3", "4"].map((name) => take(leaving, name));
    const staying = turns.join();
    void take(staying, "a");
    void take(staying, "b");
    leaving.end();
    await expect(dropped[2]).rejects.toMatchObject({ code: "unavailable" });
    await expect(dropped[3]).rejects.toMatchObject({ code: "unavailable" });
    expect(() => leaving.take()).toThrow(expect.objectContaining({ code: "unavailable" }));
    await end("1");
    await end("2");
    expect(order).toEqual(["1", "2", "a", "b"]);
    await end("a");
    await end("b");
    expect(turns.isIdle()).toBe(true);
  });
});
