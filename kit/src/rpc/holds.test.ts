import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { currentContext, withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { until } from "../testing/until.ts";
import { makeRig } from "./fixtures/conformance.ts";
import type { ProbeStub } from "./fixtures/probe.ts";
import { makeRawPeer } from "./fixtures/raw-peer.ts";
import { memoryWire } from "./fixtures/wires.ts";
import { RpcPromise, RpcStub, RpcTarget } from "./stub.ts";

const wire = memoryWire("flotilla.v1");

class Thing extends RpcTarget {
  disposals = 0;

  takes(..._args: unknown[]): number {
    return 1;
  }

  [Symbol.dispose](): void {
    this.disposals += 1;
  }
}

/** A stub of a `Thing` that comes when the test says so. */
function makeLate(): { later: RpcPromise<Thing>; come(thing: Thing | RpcStub<Thing>): void } {
  const { promise, resolve } = Promise.withResolvers<RpcStub<Thing>>();
  return { later: new RpcPromise<Thing>(promise), come: (thing) => resolve(thing as RpcStub<Thing>) };
}

/** Nothing passes it. */
const unsendable = new Map();

describe("an argument that cannot be passed leaves no hold of those before it", () => {
  test("on a result that is not there", async () => {
    const thing = new Thing();
    const stub = new RpcStub(thing);
    await expect(Promise.resolve(makeLate().later.takes(stub, unsendable))).rejects.toThrow();
    stub[Symbol.dispose]();
    expect(thing.disposals).toBe(1);
  });

  test("when one before it is a promise", async () => {
    const thing = new Thing();
    using local = new RpcStub(new Thing());
    const { later, come } = makeLate();
    await expect(Promise.resolve(local.takes(later, unsendable))).rejects.toThrow();
    later[Symbol.dispose]();
    come(new RpcStub(thing));
    await until(() => thing.disposals === 1, "the thing is disposed");
  });
});

test("a result that the first of its callers disposes is there for the second", async () => {
  const { later, come } = makeLate();
  class Disposing extends Thing {
    override takes(): number {
      later[Symbol.dispose]();
      return super.takes();
    }
  }
  const calls = [later.takes(), later.takes()];
  come(new Disposing());
  expect(await Promise.all(calls)).toEqual([1, 1]);
});

test("a dup of a pending result that was disposed is not kept", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { session } = makeRawPeer();
  const pending = (session.remoteMain as unknown as ProbeStub).hang() as unknown as RpcStub<Thing>;
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 100_000; n += 1) pending.dup()[Symbol.dispose]();
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(2_000_000);
  pending[Symbol.dispose]();
});

test("a call on a result that is not there is made in the context in which it was asked for", async () => {
  await using rig = await makeRig(wire);
  const main = Promise.withResolvers<ProbeStub>();
  const later = new RpcPromise(main.promise) as unknown as ProbeStub;
  const { traceId, noted } = withContext({ timeoutMs: 5_000 }, () => ({
    traceId: currentContext()!.traceId,
    noted: later.note(1),
  }));
  main.resolve(rig.main.dup() as unknown as ProbeStub);
  await noted;
  expect(rig.frames[0]?.frame).toContain(traceId);
  later[Symbol.dispose]();
});

describe("a listener for the loss of a result", () => {
  test("that throws keeps no call from hearing that the session has ended", async () => {
    await using rig = await makeRig(wire);
    const faults = rethrown();
    (rig.main.hang() as unknown as RpcStub<Thing>).onRpcBroken(() => {
      throw new Error("of the listener");
    });
    const other = Promise.resolve(rig.main.hang());
    await rig.main.note(1);
    rig.near!.close(new FlotillaError("unavailable", "over"));
    await expect(other).rejects.toMatchObject({ message: "over" });
    expect(await faults.heard()).toEqual(["of the listener"]);
  });

  test("that throws takes nothing from the caller, nor ends the session", async () => {
    await using rig = await makeRig(wire);
    const faults = rethrown();
    const failing = rig.main.fail();
    (failing as unknown as RpcStub<Thing>).onRpcBroken(() => {
      throw new Error("of the listener");
    });
    await expect(Promise.resolve(failing)).rejects.toMatchObject({ code: "failed_precondition" });
    await rig.main.note(1);
    expect(await faults.heard()).toEqual(["of the listener"]);
  });
});

/** Hears of the faults that are thrown in a microtask of their own, in place of the process. */
function rethrown(): { heard(): Promise<string[]> } {
  const faults: string[] = [];
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (fault) => void faults.push(fault.message));
  return {
    async heard() {
      await new Promise(setImmediate);
      process.removeAllListeners("uncaughtException");
      for (const other of others) process.on("uncaughtException", other);
      return faults;
    },
  };
}

test("a capability that was passed on is listened to no longer once it was given back, or the session is over", async () => {
  await using home = await makeRig(wire);
  const told: string[] = [];
  for (const end of ["released", "closed"] as const) {
    const peer = makeRawPeer({ makeMain: () => new Thing(), onFrame: (_, frame) => told.push(frame) });
    (peer.session.remoteMain as unknown as Thing).takes(home.main.dup());
    await peer.clock.settle();
    if (end === "released") await peer.say(["release", -1, 1]);
    else peer.session.close(new FlotillaError("unavailable", "over"));
    told.length = 0;
  }
  home.cut();
  await home.far.closed;
  await new Promise(setImmediate);
  expect(told).toEqual([]);
});

test("a result that is awaited by several is asked for once", async () => {
  const peer = makeRawPeer();
  using local = new RpcStub(new Thing());
  using answer = (peer.session.remoteMain as unknown as RpcStub<Thing>).takes();
  const calls = [local.takes(answer, answer), answer.then((value) => value)];
  await peer.clock.settle();
  calls.push(local.takes(answer, answer));
  await peer.clock.settle();
  expect(peer.heard.map(([operation]) => operation)).toEqual(["call"]);
  await peer.say(["resolve", 1, 7]);
  expect(await Promise.all(calls)).toEqual([1, 7, 1]);
});

test("a getter that throws, called as a method, fails its call alone", async () => {
  class Faulty extends Thing {
    get bad(): never {
      throw new FlotillaError("not_found", "of the getter");
    }
  }
  const peer = makeRawPeer({ makeMain: () => new Faulty() });
  const call = (name: string) => ["push", ["pipeline", 0, [name], []]];
  await peer.say(call("bad"), ["pull", 1], call("takes"), ["pull", 2]);
  expect(peer.answerTo(1)?.[2]).toEqual(expect.arrayContaining(["error", "not_found", "of the getter"]));
  expect(peer.answerTo(2)).toEqual(["resolve", 2, 1]);
});
