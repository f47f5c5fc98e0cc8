import { describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { anonymous } from "../base/peer.ts";
import { expose } from "../capability/boundary.ts";
import { contract } from "../capability/contract.ts";
import { makeRawPeer, type RawPeer, rejection, violated } from "./fixtures/raw-peer.ts";
import { RpcPromise, RpcStub, RpcTarget } from "./stub.ts";

const ask = (method: string, ...args: unknown[]) => ["push", ["pipeline", 0, [method], args]];
const onResult = (id: number, method: string) => ["push", ["pipeline", id, [method], []]];
/** A context line: the calls after it have so long. */
const within = (ms: number) => ({ tp: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, ms, via: [] });
const order = (peer: RawPeer) => peer.heard.map(([operation, id]) => `${operation} ${id}`);

class Item extends RpcTarget {
  name() {
    return "item";
  }
}

/** What it waits for comes when the test says so. */
class Main extends RpcTarget {
  readonly item = Promise.withResolvers<RpcStub<Item>>();
  readonly kept: unknown[] = [];

  relay() {
    return new RpcPromise(this.item.promise);
  }

  async later() {
    await this.item.promise;
    return 1;
  }

  async takes(_thing: unknown) {
    await null;
    return "done";
  }

  keep(value: unknown) {
    this.kept.push(value);
  }

  stops() {
    throw new FlotillaError("unavailable", "somebody else's", { reason: "stopping" });
  }
}

function setUp() {
  const main = new Main();
  return { main, ...makeRawPeer({ makeMain: () => main }) };
}

describe("a call that relays a result", () => {
  test("is answered at its deadline", async () => {
    const peer = setUp();
    await peer.say(within(100), ask("relay"), ["pull", 1]);
    await peer.clock.advance(100);
    expect(peer.answerTo(1)).toEqual(rejection(1, { code: "deadline_exceeded" }));
  });

  test("is late by itself: what was called on it goes on", async () => {
    const peer = setUp();
    await peer.say(within(100), ask("relay"), ["pull", 1], within(1_000), onResult(1, "name"), ["pull", 2]);
    await peer.clock.advance(100);
    expect(peer.answerTo(1)).toEqual(rejection(1, { code: "deadline_exceeded" }));
    peer.main.item.resolve(new RpcStub(new Item()));
    await peer.clock.settle();
    expect(peer.answerTo(2)).toEqual(["resolve", 2, "item"]);
  });
});

test("a capability in an argument is released before the answer leaves", async () => {
  const peer = setUp();
  await peer.say(ask("takes", ["export", -1]), ["pull", 1]);
  expect(order(peer)).toEqual(["release -1", "resolve 1"]);
});

test("a call whose argument comes after its deadline is not begun", async () => {
  const peer = setUp();
  await peer.say(within(2_000), ask("later"), within(100), ask("keep", ["pipeline", 1]), ["pull", 2]);
  await peer.clock.advance(100);
  expect(peer.answerTo(2)).toEqual(rejection(2, { code: "deadline_exceeded" }));
  peer.main.item.resolve(new RpcStub(new Item()));
  await peer.clock.settle();
  expect(peer.main.kept).toEqual([]);
});

test("draining waits for what was pulled, however often, until it is answered or released", async () => {
  const peer = makeRawPeer();
  await peer.say(ask("hang"), ["pull", 1], ["pull", 1]);
  let isDrained = false;
  const drained = peer.session.drain().then(() => {
    isDrained = true;
  });
  await peer.clock.settle();
  expect(isDrained).toBe(false);
  await peer.say(["release", 1, 1]);
  await drained;
});

test("a result of a boundary that is too large is its call's error, and is known by its name", async () => {
  interface Large extends RpcTarget {
    large(): string;
  }
  const LargeContract = contract<Large>("Large", { large: { params: [] } });
  const large = { large: () => "x".repeat(9_000_000) };
  const peer = makeRawPeer({ makeMain: () => expose(LargeContract, large, { peer: anonymous }) });
  await peer.say(ask("large"), ["pull", 1]);
  const fields = { code: "resource_exhausted", reason: "message_too_large" };
  expect(peer.answerTo(1)).toEqual(rejection(1, fields));
  expect(JSON.stringify(peer.answerTo(1))).toContain("The answer of large");
});

test("another service's refusal while it stops does not leave as ours", async () => {
  const peer = setUp();
  await peer.say(ask("stops"), ["pull", 1]);
  expect(peer.answerTo(1)).toEqual(rejection(1, { code: "unavailable" }));
  expect(JSON.stringify(peer.answerTo(1))).not.toContain("stopping");
});

test.each(["toString", "valueOf", "__defineGetter__", "hasOwnProperty", "constructor"])(
  "what every object has is no method: %s",
  async (name) => {
    const peer = setUp();
    await peer.say(ask(name, "a"), ["pull", 1]);
    expect(peer.answerTo(1)).toEqual(rejection(1, { code: "unimplemented" }));
  },
);

describe("a session that the peer's fault ends", () => {
  test("has calls under way hear that they had no part in it, and says nothing of them", async () => {
    const peer = makeRawPeer();
    const call = (peer.session.remoteMain as unknown as RpcStub<Item>).name().then(
      () => undefined,
      (error: unknown) => error,
    );
    await peer.clock.settle();
    await peer.say(["pull", -1]);
    expect(await call).toMatchObject({ code: "unavailable", reason: "session_ended", retryable: true });
    const [operation, error] = peer.heard.at(-1) as [string, unknown[]];
    expect([operation, Object.keys(error[4] as object)]).toEqual(["abort", ["code", "retryable", "reason"]]);
  });

  test("for a notice, on a session that has none", async () => {
    const peer = makeRawPeer({ framing: "capnweb" });
    await peer.sayText('{"stopping":true}');
    expect(await peer.session.closed).toMatchObject(violated);
  });
});

describe("a result as an argument", () => {
  interface Taker extends RpcTarget {
    give(): number;
    take(value: number): void;
  }
  const mainOf = (peer: RawPeer) => peer.session.remoteMain as unknown as RpcStub<Taker>;
  const errorOf = (call: PromiseLike<unknown>) => Promise.resolve(call).catch((error: unknown) => error);

  test("of another session, which is not there, is refused and not taken for our own of that number", async () => {
    const [home, other] = [makeRawPeer(), makeRawPeer()];
    using pending = mainOf(other).give();
    using own = mainOf(home).give();
    expect(await errorOf(mainOf(home).take(pending))).toMatchObject({ code: "unimplemented" });
    await home.clock.settle();
    expect(home.heard.flat().filter((it) => JSON.stringify(it).includes("take"))).toEqual([]);
    expect(own).toBeDefined();
  });

  test("that has failed is the error of the call it is passed to", async () => {
    const peer = makeRawPeer();
    const failing = mainOf(peer).give();
    const failed = errorOf(failing);
    await peer.clock.settle();
    await peer.say(["reject", 1, ["error", "not_found", "No", null, { code: "not_found", retryable: false }]]);
    await failed;
    expect(await errorOf(mainOf(peer).take(failing))).toMatchObject({ code: "not_found" });
    expect(peer.heard.filter(([operation]) => operation === "call")).toHaveLength(1);
  });

  test("that cannot be passed has a code before there is anybody to call, and in this process", async () => {
    const never = new RpcPromise<Taker>(new Promise<never>(() => {}));
    using local = new RpcStub(new Main());
    const refusals = [
      [new Map(), "invalid_argument", "it is a Map"],
      [new Blob(["x"]), "unimplemented", "it is a Blob"],
    ] as const;
    for (const [value, code, says] of refusals) {
      for (const call of [never.take({ a: [1, value] } as never), local.keep({ a: [1, value] })]) {
        const message = expect.stringContaining(`argument [0].a[1] cannot be sent: ${says}`);
        expect(await errorOf(call)).toMatchObject({ code, message });
      }
    }
  });
});
