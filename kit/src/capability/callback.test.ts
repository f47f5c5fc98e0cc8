import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { callbackCallsMax } from "../base/limits.ts";
import { type RpcPromise, type RpcStub, RpcTarget } from "../rpc/stub.ts";
import { outcome } from "../testing/until.ts";
import { callback, contract } from "./contract.ts";
import { makeBench } from "./fixtures/bench.ts";

interface Room extends RpcTarget {
  enter(): string;
}
interface Listener extends RpcTarget {
  readonly name: string;
  hear(word?: unknown): string;
  room(): Room;
  liar(): string;
}
interface Host extends RpcTarget {
  keep(listener: RpcStub<Listener>): string;
}
const HostContract = contract<Host>("Host", { keep: { params: [callback<Listener>("listener")] } });

class RoomTarget extends RpcTarget {
  enter(): never {
    throw new FlotillaError("permission_denied", "Keep out", { reason: "revoked" });
  }
}

/** Answers nothing until it is told to. */
class ListenerTarget extends RpcTarget {
  readonly #answering = Promise.withResolvers<void>();
  asked = 0;
  get name() {
    return "kim";
  }
  hear() {
    return this.#answer("heard");
  }
  room() {
    return this.#answer(new RoomTarget());
  }
  liar(): never {
    throw new FlotillaError("resource_exhausted", "Too busy", { reason: "callback_busy" });
  }
  answer() {
    this.#answering.resolve();
  }
  async #answer<T>(value: T): Promise<T> {
    this.asked += 1;
    await this.#answering.promise;
    return value;
  }
}

/** Listeners of a peer's, as a service of ours holds them. */
async function setUp(listeners = 1) {
  const kept: RpcStub<Listener>[] = [];
  const bench = makeBench(HostContract, { keep: (listener) => String(kept.push(listener.dup())) });
  const targets = Array.from({ length: listeners }, () => new ListenerTarget());
  for (const target of targets) await bench.clock.run(bench.main.keep(target as unknown as RpcStub<Listener>));
  return {
    targets,
    kept,
    target: targets[0]!,
    listener: kept[0]!,
    clock: bench.clock,
    /** Calls that went out. */
    sent: () => bench.outbound().length,
    finish: <T>(work: PromiseLike<T>) => bench.clock.run(outcome(work)),
    async [Symbol.asyncDispose]() {
      for (const listener of kept) listener[Symbol.dispose]();
      await bench[Symbol.asyncDispose]();
    },
  };
}

const busy = { code: "resource_exhausted", reason: "callback_busy", retryable: true };
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

const unheard: unknown[] = [];
const note = (reason: unknown) => void unheard.push(reason);
beforeEach(() => {
  unheard.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  expect(unheard).toEqual([]);
});

describe("a callback that does not answer", () => {
  test("is sent as many calls as may run at once, and no more; those fail when they are awaited", async () => {
    await using rig = await setUp();
    const calls = times(callbackCallsMax + 50, () => rig.listener.hear());
    await rig.clock.advance(10);
    expect([rig.sent(), rig.target.asked]).toEqual([callbackCallsMax, callbackCallsMax]);
    for (const call of calls.slice(callbackCallsMax)) await expect(rig.finish(call)).rejects.toMatchObject(busy);
    rig.target.answer();
    for (const call of calls.slice(0, callbackCallsMax)) expect(await rig.finish(call)).toBe("heard");
    expect(await rig.finish(rig.listener.hear())).toBe("heard");
  });

  test("is called again when its deadline has passed", async () => {
    await using rig = await setUp();
    const calls = times(callbackCallsMax, () => outcome(rig.listener.hear()));
    await expect(rig.finish(rig.listener.hear())).rejects.toMatchObject(busy);
    const ends = await rig.finish(Promise.allSettled(calls));
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(["rejected"]));
    rig.target.answer();
    expect(await rig.finish(rig.listener.hear())).toBe("heard");
  });

  test("is said to have failed, and not to be late, when the call that brought it was answered long ago", async () => {
    const said: Promise<unknown>[] = [];
    async function hearLater(listener: RpcStub<Listener>): Promise<unknown> {
      using kept = listener;
      await new Promise<void>((resolve) => void bench.clock.after(60_000, resolve));
      return await outcome(kept.hear()).catch((error: unknown) => error);
    }
    const bench = makeBench(HostContract, {
      keep(listener) {
        said.push(hearLater(listener.dup()));
        return "kept";
      },
    });
    await using rig = bench;
    class Failing extends RpcTarget {
      hear(): never {
        throw new Error("no");
      }
    }
    await rig.clock.run(rig.main.keep(new Failing() as unknown as RpcStub<Listener>));
    await rig.clock.advance(61_000);
    expect(await said[0]).toMatchObject({ code: "failed_precondition", reason: "callback_failed" });
  });

  test("leaves another callback of the same peer alone", async () => {
    await using rig = await setUp(2);
    const calls = times(callbackCallsMax, () => rig.listener.hear());
    rig.targets[1]?.answer();
    expect(await rig.finish(rig.kept[1]!.hear())).toBe("heard");
    for (const call of calls) call[Symbol.dispose]();
  });

  test("stops no loop over subscribers that waits for none of them, and ends no process", async () => {
    await using rig = await setUp(2);
    const calls = times(callbackCallsMax, () => rig.listener.hear());
    rig.targets[1]?.answer();
    const told = rig.kept.map((listener) => listener.hear());
    // Nor does anything that is begun on what was refused.
    const [refused] = told as unknown as [RpcPromise<Listener> & RpcStub<Listener>];
    void refused.hear();
    void refused.room().enter();
    void refused.name;
    void refused.dup();
    void (refused as unknown as { map(each: (it: unknown) => unknown): unknown }).map((it) => it);
    await rig.clock.advance(10);
    expect(rig.sent()).toBe(callbackCallsMax + 1);
    expect(await rig.finish(told[1]!)).toBe("heard");
    for (const call of [...calls, ...told]) call[Symbol.dispose]();
  });
});

describe("a call of a callback runs", () => {
  /** How many more calls go out. */
  async function free(rig: Awaited<ReturnType<typeof setUp>>): Promise<number> {
    await rig.clock.advance(10);
    const before = rig.sent();
    const calls = times(callbackCallsMax + 1, () => rig.listener.hear());
    await rig.clock.advance(10);
    for (const call of calls) call[Symbol.dispose]();
    await rig.clock.advance(10);
    return rig.sent() - before;
  }

  test("until its result is disposed, once, whoever else disposes it again", async () => {
    await using rig = await setUp();
    const calls = times(10, () => rig.listener.hear());
    expect(await free(rig)).toBe(callbackCallsMax - 10);
    for (const call of [...calls, ...calls]) call[Symbol.dispose]();
    expect(await free(rig)).toBe(callbackCallsMax);
  });

  test("until its result and every dup of that are disposed", async () => {
    await using rig = await setUp();
    const room = rig.listener.room() as unknown as RpcStub<Room>;
    const first = room.dup();
    const second = first.dup();
    for (const hold of [room, room, first, first]) hold[Symbol.dispose]();
    expect(await free(rig)).toBe(callbackCallsMax - 1);
    second[Symbol.dispose]();
    expect(await free(rig)).toBe(callbackCallsMax);
  });

  test("until it was answered, although its result is still held", async () => {
    await using rig = await setUp();
    rig.target.answer();
    using room = await rig.finish(rig.listener.room() as unknown as PromiseLike<RpcStub<Room>>);
    using _ = room.dup();
    const call = rig.listener.hear();
    expect([await rig.finish(call), await rig.finish(call)]).toEqual(["heard", "heard"]);
    call[Symbol.dispose]();
    expect(await free(rig)).toBe(callbackCallsMax);
  });

  test("for its callback, whichever dup of that it was begun on", async () => {
    await using rig = await setUp();
    const dup = rig.listener.dup();
    const calls = times(callbackCallsMax - 1, () => dup.hear());
    dup[Symbol.dispose]();
    expect(await free(rig)).toBe(1);
    for (const call of calls) call[Symbol.dispose]();
  });

  test("also when it is begun on what another one will give, or did", async () => {
    await using rig = await setUp();
    const room = rig.listener.room() as unknown as RpcStub<Room> & PromiseLike<RpcStub<Room>>;
    const early = room.enter();
    expect(await free(rig)).toBe(callbackCallsMax - 2);
    early[Symbol.dispose]();
    rig.target.answer();
    using there = await rig.finish(room);
    const late = times(3, () => there.enter());
    expect(await free(rig)).toBe(callbackCallsMax - 3);
    for (const call of late) call[Symbol.dispose]();
  });

  test("also when it is a property that is being read, or held", async () => {
    await using rig = await setUp();
    const name = rig.listener.name as unknown as Promise<string> & RpcStub<Listener>;
    expect(await free(rig)).toBe(callbackCallsMax);
    const calls = times(callbackCallsMax - 1, () => rig.listener.hear());
    const held = name.dup();
    await expect(rig.finish(name)).rejects.toMatchObject(busy);
    held[Symbol.dispose]();
    const readings = await rig.finish(Promise.allSettled([name, name].map(outcome)));
    expect(readings).toMatchObject([{ value: "kim" }, { reason: busy }]);
    expect(await rig.finish(name)).toBe("kim");
    for (const call of calls) call[Symbol.dispose]();
  });

  test("not at all when its arguments cannot be sent", async () => {
    await using rig = await setUp();
    for (const attempt of times(callbackCallsMax, () => rig.listener.hear(Symbol("no data")))) {
      await expect(rig.finish(attempt)).rejects.toMatchObject({ code: "invalid_argument" });
    }
    expect(await free(rig)).toBe(callbackCallsMax);
  });
});

describe("the arguments of a call that is refused", () => {
  test("end as those of a call that is over", async () => {
    await using rig = await setUp();
    const calls = times(callbackCallsMax, () => rig.listener.hear());
    let disposals = 0;
    class Argument extends RpcTarget {
      [Symbol.dispose]() {
        disposals += 1;
      }
    }
    await expect(rig.finish(rig.listener.hear(new Argument()))).rejects.toMatchObject(busy);
    expect(disposals).toBe(1);
    for (const call of calls) call[Symbol.dispose]();
  });
});

describe("a callback", () => {
  test("that says it is busy is not believed", async () => {
    await using rig = await setUp();
    await expect(rig.finish(rig.listener.liar())).rejects.toMatchObject({ reason: "callback_failed" });
  });

  test("answers with a capability that fails as it does", async () => {
    await using rig = await setUp();
    rig.target.answer();
    using room = await rig.finish(rig.listener.room() as unknown as PromiseLike<RpcStub<Room>>);
    await expect(rig.finish(room.enter())).rejects.toMatchObject({ reason: "callback_failed" });
    using promised = rig.listener.room() as unknown as RpcStub<Room>;
    using dup = promised.dup();
    await expect(rig.finish(dup.enter())).rejects.toMatchObject({ reason: "callback_failed" });
  });

  test("answers with a promise that goes on to the capability once it was awaited", async () => {
    await using rig = await setUp();
    rig.target.answer();
    const room = rig.listener.room();
    await rig.finish(room);
    const error = await rig.finish(room.enter()).catch((thrown: FlotillaError) => thrown);
    expect(error).toMatchObject({ reason: "callback_failed", cause: { message: "Keep out" } });
    room[Symbol.dispose]();
  });

  test("that is our own come home, and fails with nobody waiting for it, ends no process", async () => {
    interface Home extends RpcTarget {
      own(): Room;
      enter(room: RpcStub<Room>): string;
    }
    const HomeContract = contract<Home>("Home", {
      own: { params: [], returns: contract<Room>("Room", { enter: { params: [] } }) },
      enter: { params: [callback<Room>("room")] },
    });
    await using bench = makeBench(HomeContract, {
      own: () => ({ enter: async () => Promise.reject(new Error("not there")) }),
      enter(room) {
        void room.enter();
        return "on the way";
      },
    });
    using room = await bench.clock.run(bench.main.own());
    expect(await bench.clock.run(bench.main.enter(room as unknown as RpcStub<Room>))).toBe("on the way");
  });

  test("can be handed from one function to another, and awaited by mistake", async () => {
    await using rig = await setUp();
    rig.target.answer();
    using same = await (async () => rig.listener.dup())();
    expect(await rig.finish(same.hear())).toBe("heard");
    expect(String(same)).toBe("[object RpcStub]");
  });
});
