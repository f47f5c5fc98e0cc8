import { expect, test } from "vitest";
import { currentContext, withContext } from "../base/context.ts";
import { until } from "../testing/until.ts";
import { makeRig } from "./fixtures/conformance.ts";
import { memoryWire } from "./fixtures/wires.ts";
import { RpcPromise, RpcStub, RpcTarget } from "./stub.ts";

const wire = memoryWire("flotilla.v2");

class Thing extends RpcTarget {
  isDisposed = false;

  [Symbol.dispose]() {
    this.isDisposed = true;
  }
}

/** An argument that comes when the test says so. */
function makeLate<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { value: new RpcPromise(promise) as unknown as T & Disposable, resolve, reject };
}

test("a call waits for a promise in its arguments, and later ones overtake it", async () => {
  await using rig = await makeRig(wire);
  const late = makeLate<number>();
  const waiting = rig.main.note(late.value);
  await rig.main.note(2);
  expect(rig.seen.notes).toEqual([2]);
  late.resolve(1);
  await waiting;
  expect(rig.seen.notes).toEqual([2, 1]);
});

test("what it is called with is held until then, whatever its caller lets go of", async () => {
  await using rig = await makeRig(wire);
  const late = makeLate<number>();
  const thing = new Thing();
  const stub = new RpcStub(thing);
  const echoed = rig.main.echo({ number: late.value, stub } as never) as unknown as Promise<
    { number: number } & Disposable
  >;
  stub[Symbol.dispose]();
  late.value[Symbol.dispose]();
  expect(thing.isDisposed).toBe(false);
  late.resolve(7);
  {
    using answer = await echoed;
    expect(answer.number).toBe(7);
  }
  await until(() => thing.isDisposed, "the thing is let go of");
});

test("a promise that fails is the call's error, and nothing is sent", async () => {
  await using rig = await makeRig(wire);
  const late = makeLate<number>();
  const waiting = Promise.resolve(rig.main.note(late.value));
  late.reject(new Error("it did not come"));
  await expect(waiting).rejects.toThrow("it did not come");
  expect(rig.frames).toEqual([]);
});

test("it is made in the context in which it was asked for", async () => {
  await using rig = await makeRig(wire);
  const late = makeLate<number>();
  const { traceId, waiting } = withContext({ timeoutMs: 5_000 }, () => ({
    traceId: currentContext()!.traceId,
    waiting: rig.main.note(late.value),
  }));
  late.resolve(1);
  await waiting;
  expect(rig.frames[0]?.frame).toContain(traceId);
});
