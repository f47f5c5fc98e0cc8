import { expect, test } from "vitest";
import { makeRawPeer } from "./fixtures/raw-peer.ts";
import type { RpcPromise, RpcStub, RpcTarget } from "./stub.ts";

interface Shelf extends RpcTarget {
  find(): Counter;
  put(counter: Counter): void;
}
interface Counter extends RpcTarget {
  add(n: number): number;
}

function setUp() {
  const peer = makeRawPeer({ framing: "flotilla.v2" });
  const shelf = peer.session.remoteMain as unknown as RpcStub<Shelf>;
  /** A result that has been streamed, and is not there. */
  const find = async () => {
    const found = shelf.find();
    const there = found.then(() => "there");
    await peer.clock.settle();
    expect(peer.heard).toEqual([["stream", ["pipeline", 0, ["find"], []]]]);
    return { found, there };
  };
  return { ...peer, shelf, find };
}

const begin = (call: PromiseLike<unknown>) => void call.then(undefined, () => {});
/** A stub to be passed where its target is asked for. */
const asTarget = (found: RpcPromise<Counter>) => found as unknown as Counter;

test("what is called on a streamed result waits for it, and then goes to what it came to", async () => {
  const { clock, heard, say, find } = setUp();
  const { found, there } = await find();
  begin(found.add(1));
  await clock.settle();
  expect(heard).toHaveLength(1);
  await say(["resolve", 1, ["export", -1]]);
  expect(heard.slice(1)).toEqual([["stream", ["pipeline", -1, ["add"], [1]]]]);
  expect(await there).toBe("there");
});

test("a streamed result that is passed on waits too", async () => {
  const { clock, heard, say, shelf, find } = setUp();
  const { found } = await find();
  begin(shelf.put(asTarget(found)));
  await clock.settle();
  expect(heard).toHaveLength(1);
  await say(["resolve", 1, ["export", -1]]);
  expect(heard.slice(1)).toEqual([["stream", ["pipeline", 0, ["put"], [["import", -1]]]]]);
});

test("one that is let go of is not released, and what comes of it is", async () => {
  const { clock, heard, say, session, find, released } = setUp();
  const { found, there } = await find();
  there.then(undefined, () => {});
  found[Symbol.dispose]();
  await clock.settle();
  expect(heard).toHaveLength(1);
  await say(["resolve", 1, ["export", -1]]);
  expect(released()).toEqual({ [-1]: 1 });
  expect(session.stats()).toEqual({ imports: 1, exports: 1 });
});

test("its deadline ends it here, and its late answer is dropped", async () => {
  const { clock, say, find, session, released } = setUp();
  const { there } = await find();
  const ended = there.then(
    () => "there",
    (error: { code: string }) => error.code,
  );
  await clock.advance(10_000);
  expect(await ended).toBe("deadline_exceeded");
  await say(["resolve", 1, ["export", -1]]);
  expect(released()).toEqual({ [-1]: 1 });
  expect(session.stats()).toEqual({ imports: 1, exports: 1 });
});
