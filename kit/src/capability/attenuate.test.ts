import { describe, expect, test } from "vitest";
import { withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { type RpcStub, RpcTarget } from "../rpc/stub.ts";
import { outcome } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type Attenuation, attenuate } from "./attenuate.ts";
import { makeBench } from "./fixtures/bench.ts";
import { type Cabinet, CabinetContract, makeCabinet, makeChain, type Reader } from "./fixtures/cabinet.ts";
import { makeRevoker, revocable } from "./revoker.ts";

const denied = (reason: string) => ({ code: "permission_denied", reason, retryable: false });

class ReaderTarget extends RpcTarget {
  hear(text: string) {
    return `heard ${text}`;
  }
}
const reader = () => new ReaderTarget() as unknown as RpcStub<Reader>;

/** A cabinet of this process, attenuated and behind its boundary. */
function makeLocal(attenuation: Attenuation<Cabinet> | ((startMs: number) => Attenuation<Cabinet>)) {
  const made = makeVirtualClock();
  const given = typeof attenuation === "function" ? attenuation(made.now()) : attenuation;
  // The bench's clock starts where every virtual clock does.
  const cabinet = makeCabinet({ ...made, after: (ms, run) => bench.clock.after(ms, run) });
  const bench = makeBench(CabinetContract, attenuate(CabinetContract, cabinet, given));
  return { cabinet, bench, call: <T>(work: PromiseLike<T>) => bench.clock.run(work) };
}

describe("an attenuated capability", () => {
  test("is the whole capability when nothing is taken away", async () => {
    const { bench, cabinet, call } = makeLocal({});
    await using _ = bench;
    expect(await call(bench.main.read(1))).toBe("read 1");
    expect(await call(bench.main.tell(reader()))).toBe("heard told");
    using drawer = await call(bench.main.drawer("a"));
    expect(await call(drawer.look())).toBe("look a");
    expect(cabinet.ran).toEqual(["read 1", "tell", "drawer a", "look a"]);
  });

  test("has the methods that were left, and no list that is changed later gives more", async () => {
    const only: ("read" | "write")[] = ["read"];
    const { bench, cabinet, call } = makeLocal({ only });
    await using _ = bench;
    only.push("write");
    expect(await call(bench.main.read(1))).toBe("read 1");
    await expect(call(bench.main.write("x"))).rejects.toMatchObject(denied("attenuated"));
    await expect(call(bench.main.write(5 as unknown as string))).rejects.toMatchObject(denied("attenuated"));
    await expect(call(bench.main.drawer("x"))).rejects.toMatchObject(denied("attenuated"));
    await expect(call(bench.main.tell(reader()))).rejects.toMatchObject(denied("attenuated"));
    const wild = bench.main as unknown as Record<string, () => Promise<unknown>>;
    await expect(call(wild.burn!())).rejects.toMatchObject({ code: "unimplemented" });
    expect(cabinet.ran).toEqual(["read 1"]);
  });

  test("has none when none was left", async () => {
    const { bench, call } = makeLocal({ only: [] });
    await using _ = bench;
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("attenuated"));
  });

  test("ends at its time", async () => {
    const { bench, cabinet, call } = makeLocal((startMs) => ({ until: startMs + 1_000 }));
    await using _ = bench;
    await bench.clock.advance(998);
    expect(await call(bench.main.read(1))).toBe("read 1");
    await expect(call(bench.main.read(2))).rejects.toMatchObject(denied("expired"));
    expect(cabinet.ran).toEqual(["read 1"]);
  });

  test("is used up by calls that begin, failed ones included, and not by those that are refused", async () => {
    const { bench, cabinet, call } = makeLocal({ only: ["read", "drawer"], times: 2 });
    await using _ = bench;
    await expect(call(bench.main.write("x"))).rejects.toMatchObject(denied("attenuated"));
    await expect(call(bench.main.read(0))).rejects.toMatchObject({ code: "invalid_argument" });
    cabinet.fails = new FlotillaError("not_found", "No such page");
    await expect(call(bench.main.read(1))).rejects.toMatchObject({ code: "not_found" });
    using drawer = await call(bench.main.drawer("a"));
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("used_up"));
    // What was obtained is another capability.
    expect(await call(Promise.all([drawer.look(), drawer.look()]))).toEqual(["look a", "look a"]);
  });

  test("of which no call is left begins none", async () => {
    const { bench, cabinet, call } = makeLocal({ times: 0 });
    await using _ = bench;
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("used_up"));
    expect(cabinet.ran).toEqual([]);
  });

  test("that is called too fast says when to call again, and then takes one more", async () => {
    const { bench, cabinet, call } = makeLocal({ rate: { calls: 3, perMs: 1_000 } });
    await using _ = bench;
    const burst = [1, 2, 3, 4, 5].map((page) => outcome(bench.main.read(page)).catch((error: unknown) => error));
    const limited = {
      code: "resource_exhausted",
      reason: "rate_limited",
      retryable: true,
      retryAfterMs: 334,
    };
    const answers = await call(Promise.all(burst));
    expect(answers.slice(0, 3)).toEqual(["read 1", "read 2", "read 3"]);
    expect(answers.slice(3)).toMatchObject([limited, limited]);
    await bench.clock.advance(331);
    await expect(call(bench.main.read(6))).rejects.toMatchObject({ ...limited, retryAfterMs: 1 });
    expect(await call(bench.main.read(7))).toBe("read 7");
    await bench.clock.advance(10_000);
    expect(await call(Promise.all([8, 9, 10].map((page) => bench.main.read(page))))).toHaveLength(3);
    await expect(call(bench.main.read(11))).rejects.toMatchObject({ ...limited, retryAfterMs: 332 });
    expect(cabinet.ran).toHaveLength(7);
  });

  test("says that it has ended rather than that one should wait", async () => {
    const revoker = makeRevoker();
    const { bench, call } = makeLocal({ rate: { calls: 1, perMs: 1_000 }, times: 1, revoker });
    await using _ = bench;
    await call(bench.main.read(1));
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("used_up"));
    revoker.revoke();
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("revoked"));
  });

  test("obeys the same rules when it is called in this process, by the clock it was given", () => {
    const clock = makeVirtualClock();
    const cabinet = makeCabinet(clock);
    const revoker = makeRevoker();
    const left = attenuate(CabinetContract, cabinet, { only: ["read", "drawer"], times: 3, revoker, clock });
    const drawer = left.drawer("a") as { look(): string };
    expect([left.read(1), drawer.look()]).toEqual(["read 1", "look a"]);
    expect(() => left.write("x")).toThrow(expect.objectContaining(denied("attenuated")));
    const ended = attenuate(CabinetContract, left, { until: clock.now(), clock });
    expect(() => ended.read(1)).toThrow(expect.objectContaining(denied("expired")));
    void left.read(2);
    expect(() => left.read(3)).toThrow(expect.objectContaining(denied("used_up")));
    revoker.revoke();
    expect(() => drawer.look()).toThrow(expect.objectContaining(denied("revoked")));
    expect(cabinet.ran).toEqual(["drawer a", "read 1", "look a", "read 2"]);
    expect(() => Object.assign(left, { write: () => "x" })).toThrow(TypeError);
  });

  test.each<[string, object]>([
    ["a method that there is none of", { only: ["burn"] }],
    ["a method of every object", { only: ["toString"] }],
    ["an end that is no number", { until: Number.NaN }],
    ["a negative number of calls", { times: -1 }],
    ["half a call", { times: 0.5 }],
    ["no number of calls", { times: Number.NaN }],
    ["a rate of none", { rate: { calls: 0, perMs: 1 } }],
    ["a rate in no time", { rate: { calls: 1, perMs: 0 } }],
    ["a rate in endless time", { rate: { calls: 1, perMs: Number.POSITIVE_INFINITY } }],
  ])("is not made for %s", (_, attenuation) => {
    const cabinet = makeCabinet(makeVirtualClock());
    expect(() => attenuate(CabinetContract, cabinet, attenuation)).toThrow(TypeError);
    attenuate(CabinetContract, cabinet, {})[Symbol.dispose]();
    expect(cabinet.disposed).toEqual(["cabinet"]);
  });
});

describe("what is attenuated again", () => {
  test("is bound by both, and what one refuses the other does not count", async () => {
    const cabinet = makeCabinet(makeVirtualClock());
    const inner = attenuate(CabinetContract, cabinet, { only: ["read", "write"], times: 1 });
    const outer = attenuate(CabinetContract, inner, { only: ["read", "drawer"], times: 5 });
    await using bench = makeBench(CabinetContract, outer);
    const call = <T>(work: PromiseLike<T>) => bench.clock.run(work);
    await expect(call(bench.main.write("x"))).rejects.toMatchObject(denied("attenuated"));
    await expect(call(bench.main.drawer("x"))).rejects.toMatchObject(denied("attenuated"));
    expect(await call(bench.main.read(1))).toBe("read 1");
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("used_up"));
    expect(cabinet.ran).toEqual(["read 1"]);
  });

  test("is bound by what its target is hung on afterwards", async () => {
    const revoker = makeRevoker();
    const { bench, cabinet, call } = makeLocal({});
    await using _ = bench;
    revocable(cabinet, revoker);
    revoker.revoke();
    await expect(call(bench.main.read(1))).rejects.toMatchObject(denied("revoked"));
  });
});

describe("a membrane", () => {
  test("cuts what was obtained through it, and what was obtained through that", async () => {
    const revoker = makeRevoker();
    const { bench, cabinet, call } = makeLocal({ revoker });
    await using _ = bench;
    using drawer = await call(bench.main.drawer("a"));
    using note = await call(drawer.note());
    expect(await call(Promise.all([drawer.look(), note.text()]))).toEqual(["look a", "text"]);
    revoker.revoke();
    for (const work of [() => bench.main.drawer("b"), () => drawer.look(), () => drawer.note(), () => note.text()]) {
      await expect(call(work() as PromiseLike<unknown>)).rejects.toMatchObject(denied("revoked"));
    }
    expect(cabinet.ran).toEqual(["drawer a", "note", "look a", "text"]);
  });

  test("cuts by time too, and leaves methods, counts and rates to the capability they were said of", async () => {
    const { bench, call } = makeLocal((startMs) => ({
      until: startMs + 1_000,
      only: ["drawer"],
      times: 1,
      rate: { calls: 1, perMs: 10 },
    }));
    await using _ = bench;
    using drawer = await call(bench.main.drawer("a"));
    expect(await call(Promise.all([drawer.look(), drawer.look()]))).toHaveLength(2);
    await bench.clock.advance(1_000);
    await expect(call(drawer.look())).rejects.toMatchObject(denied("expired"));
  });

  test("cuts what a call in flight brings after the end, and what is pipelined on it", async () => {
    const revoker = makeRevoker();
    const { bench, cabinet, call } = makeLocal({ revoker });
    await using _ = bench;
    using promised = bench.main.drawerAfter(500);
    const look = call(promised.look());
    await bench.clock.advance(100);
    revoker.revoke();
    await expect(look).rejects.toMatchObject(denied("revoked"));
    expect(cabinet.ran).toEqual(["drawerAfter"]);
  });

  test("leaves alone what was obtained beside it", async () => {
    const revoker = makeRevoker();
    const clock = makeVirtualClock();
    const cabinet = makeCabinet(clock);
    const drawer = cabinet.drawer("shared") as { look(): string };
    Object.assign(cabinet, { drawer: () => drawer });
    const through = attenuate(CabinetContract, cabinet, { revoker, clock }).drawer("shared") as { look(): string };
    revoker.revoke();
    expect(() => through.look()).toThrow(expect.objectContaining(denied("revoked")));
    expect(drawer.look()).toBe("look shared");
  });

  test("passes what is no capability on to the boundary, which refuses it", async () => {
    const { bench, cabinet, call } = makeLocal({ revoker: makeRevoker() });
    await using _ = bench;
    for (const wrong of [null, "drawer", undefined]) {
      Object.assign(cabinet, { drawer: () => wrong });
      await expect(call(bench.main.drawer("a"))).rejects.toMatchObject({ code: "internal" });
    }
  });
});

describe("an object that is attenuated", () => {
  test("is disposed when the last boundary or caretaker around it is", () => {
    const cabinet = makeCabinet(makeVirtualClock());
    const [first, second] = [attenuate(CabinetContract, cabinet, {}), attenuate(CabinetContract, cabinet, {})];
    const third = attenuate(CabinetContract, second, { only: [] });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(cabinet.disposed).toEqual([]);
    third[Symbol.dispose]();
    expect(cabinet.disposed).toEqual(["cabinet"]);
  });

  test("is disposed with what was obtained through it when the holders let go, revoked or not", async () => {
    const revoker = makeRevoker();
    const { bench, cabinet, call } = makeLocal({ revoker });
    await using _ = bench;
    const drawer = await call(bench.main.drawer("a"));
    const note = await call(drawer.note());
    revoker.revoke();
    expect(cabinet.disposed).toEqual([]);
    note[Symbol.dispose]();
    drawer[Symbol.dispose]();
    await bench.clock.advance(10);
    expect(cabinet.disposed).toEqual(["note", "drawer a"]);
  });

  test("is disposed when it comes too late for anybody to receive it", async () => {
    const { bench, cabinet, call } = makeLocal({ revoker: makeRevoker() });
    await using _ = bench;
    const late = withContext({ timeoutMs: 100 }, () => bench.main.drawerAfter(500), bench.clock);
    await expect(call(late)).rejects.toMatchObject({ code: "deadline_exceeded" });
    await bench.clock.advance(500);
    expect(cabinet.disposed).toEqual(["drawer late"]);
  });
});

describe("a stub that is attenuated", () => {
  test("is narrowed here, and its host hears nothing of what is refused", async () => {
    await using chain = await makeChain((stub) => attenuate(CabinetContract, stub, { only: ["read"], times: 2 }));
    const { clock, held, cabinet } = chain;
    expect(await clock.run(held.read(1))).toBe("read 1");
    const before = chain.toHost.messages.length;
    await expect(clock.run(held.write("x"))).rejects.toMatchObject(denied("attenuated"));
    expect(chain.toHost.messages).toHaveLength(before);
    await expect(clock.run(chain.held.read(0))).rejects.toMatchObject({ code: "invalid_argument" });
    expect(await clock.run(held.read(2))).toBe("read 2");
    await expect(clock.run(held.read(3))).rejects.toMatchObject(denied("used_up"));
    expect(cabinet.ran).toEqual(["read 1", "read 2"]);
    // It was borrowed: who attenuated it has it still.
    expect(await clock.run(chain.stub.write("x"))).toBe("write x");
  });

  test("is let go of when its holder lets go, and not before", async () => {
    await using chain = await makeChain((stub) => attenuate(CabinetContract, stub, {}));
    chain.stub[Symbol.dispose]();
    expect(await chain.clock.run(chain.held.read(1))).toBe("read 1");
    expect(chain.cabinet.disposed).toEqual([]);
    chain.held[Symbol.dispose]();
    await chain.clock.advance(10);
    expect(chain.cabinet.disposed).toEqual(["cabinet"]);
  });

  test("is let go of when it is revoked, with all that was obtained, though the holder keeps it", async () => {
    const revoker = makeRevoker();
    await using chain = await makeChain((stub) => {
      const inner = attenuate(CabinetContract, stub, { times: 100 });
      return attenuate(CabinetContract, inner, { revoker });
    });
    const { clock, held, cabinet } = chain;
    using drawer = await clock.run(held.drawer("a"));
    using note = await clock.run(drawer.note());
    expect(await clock.run(note.text())).toBe("text");
    chain.stub[Symbol.dispose]();
    await clock.advance(10);
    expect(cabinet.disposed).toEqual([]);
    revoker.revoke();
    await clock.advance(10);
    expect(cabinet.disposed.toSorted()).toEqual(["cabinet", "drawer a", "note"]);
    for (const work of [held.read(1), drawer.look(), note.text()]) {
      await expect(clock.run(work as PromiseLike<unknown>)).rejects.toMatchObject(denied("revoked"));
    }
  });

  test("lets a call in flight complete though it is revoked meanwhile", async () => {
    const revoker = makeRevoker();
    await using chain = await makeChain((stub) => attenuate(CabinetContract, stub, { revoker }));
    using promised = chain.held.drawerAfter(500);
    const drawer = chain.clock.run(promised);
    await chain.clock.advance(100);
    revoker.revoke();
    using arrived = await drawer;
    await expect(chain.clock.run(arrived.look())).rejects.toMatchObject(denied("revoked"));
    await chain.clock.advance(10);
    expect(chain.cabinet.disposed).toContain("drawer late");
  });

  test("passes callbacks on", async () => {
    await using chain = await makeChain((stub) => attenuate(CabinetContract, stub, { revoker: makeRevoker() }));
    expect(await chain.clock.run(chain.held.tell(reader()))).toBe("heard told");
  });

  test("gives up a result that comes too late for anybody", async () => {
    await using chain = await makeChain((stub) => attenuate(CabinetContract, stub, { revoker: makeRevoker() }));
    const late = withContext({ timeoutMs: 100 }, () => chain.held.drawerAfter(500), chain.clock);
    await expect(chain.clock.run(late)).rejects.toMatchObject({ code: "deadline_exceeded" });
    await chain.clock.advance(1_000);
    expect(chain.cabinet.disposed).toEqual(["drawer late"]);
  });

  test("is unavailable when the link to its host is cut, and never says yes", async () => {
    const chain = await makeChain((stub) => attenuate(CabinetContract, stub, { revoker: makeRevoker() }));
    const { clock, held, toHost, toMiddle } = chain;
    using drawer = await clock.run(held.drawer("a"));
    toHost.cut();
    await clock.settle();
    for (const work of [held.read(1), drawer.look()]) {
      await expect(clock.run(work)).rejects.toMatchObject({ code: "unavailable" });
    }
    expect(chain.cabinet.ran).toEqual(["drawer a"]);
    toMiddle.cut();
  });
});
