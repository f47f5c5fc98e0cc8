import { RpcStub as StockStub, RpcTarget as StockTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { linkLimits } from "../base/limits.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeRawPeer, many, nested, rejection } from "./fixtures/raw-peer.ts";
import { BrokenRef } from "./ref.ts";
import { type RpcStub, RpcTarget } from "./stub.ts";

class Item extends RpcTarget {
  name() {
    return "item";
  }
}

/** Answers what it was made with, or what it is called with. */
class Main extends RpcTarget {
  readonly #value: unknown;

  constructor(value: unknown) {
    super();
    this.#value = value;
  }

  get(): unknown {
    return this.#value;
  }

  /** Answers with its argument, as it arrived. */
  echo(value: unknown): unknown {
    return value;
  }

  x(..._args: unknown[]): string {
    return "done";
  }
}

function makeRig(value?: unknown) {
  const clock = makeVirtualClock();
  const to = { name: "to", instance: "i".repeat(16), main: new Main(value) };
  const link = makeTestLink({ clock, from: { kind: "anonymous" }, to });
  const main = link.main as unknown as RpcStub<Main>;
  return { clock, link, main, ask: (call: PromiseLike<unknown>) => clock.run(Promise.resolve(call)) };
}

const bytes = new Uint8Array([0, 1, 2, 253, 254, 255, 7, 8]);
type View = new (buffer: ArrayBuffer) => ArrayBufferView;
const views: View[] = [
  DataView,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
];
const wideViews: View[] = [BigInt64Array, BigUint64Array, Float32Array, Float64Array];
const row = Object.assign(Object.create(null) as object, { id: 7, name: "x", none: undefined });

const data: Record<string, unknown> = {
  null: null,
  undefined: undefined,
  true: true,
  zero: 0,
  "a fraction": -1.5,
  "a large number": 2 ** 53,
  "the largest": Number.MAX_VALUE,
  infinity: Number.POSITIVE_INFINITY,
  "minus infinity": Number.NEGATIVE_INFINITY,
  "no number": Number.NaN,
  text: "täxt\n\u2028\u0000\ud83d\ude00",
  "half of a character": "\ud83d",
  "a bigint": 123n,
  "a large bigint": -(10n ** 400n),
  "a date": new Date(86_400_000.5),
  "a date that is none": new Date(Number.NaN),
  "an address": new URL("http://x/y?a=1#b"),
  "nothing in an array": [],
  "arrays in arrays": [[], [[]], [1, [2, [3]]]],
  "an array with holes": Object.assign(Array.from({ length: 2 }), { 1: 5 }),
  "an empty object": {},
  objects: { a: { b: [{ c: null, "": 1, "with space": { 'quo"te': "\\" } }] } },
  "what looks like an expression": [["pipeline", 0], ["export", -1], { push: ["error", "x"] }, ["undefined"]],
  "data of every kind in one": { a: [undefined, 1n, new Date(0), [Number.NaN]], b: { c: new URL("http://x/") } },
};

describe("data of every kind arrives as it was", () => {
  test.each(Object.keys(data))("as an argument and as an answer: %s", async (name) => {
    const { ask, main, link, clock } = makeRig(data[name]);
    expect(await ask(main.echo(data[name] as null))).toEqual(data[name]);
    expect(await ask(main.get())).toEqual(data[name]);
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test.each([...views, ...wideViews].map((View) => [View.name, View] as const))("bytes in a %s", async (_, View) => {
    const { ask, main } = makeRig();
    const sent = new View(bytes.slice().buffer);
    const arrived = (await ask(main.echo(sent))) as ArrayBufferView;
    expect(arrived.constructor).toBe(View);
    expect(new Uint8Array(arrived.buffer, arrived.byteOffset, arrived.byteLength)).toEqual(bytes);
  });

  test("bytes in an ArrayBuffer, in a Buffer, and none at all", async () => {
    const { ask, main } = makeRig();
    expect(await ask(main.echo(bytes.slice().buffer))).toEqual(bytes.buffer);
    expect(await ask(main.echo(Buffer.from(bytes)))).toEqual(bytes);
    expect(await ask(main.echo(new Uint8Array()))).toEqual(new Uint8Array());
    expect(await ask(main.echo(new ArrayBuffer(0)))).toEqual(new ArrayBuffer(0));
  });

  test("of bytes that are a part of a buffer that part alone, and nothing of what is beside it", async () => {
    const { ask, main } = makeRig();
    const part = new Int16Array(bytes.slice().buffer, 2, 2);
    const arrived = (await ask(main.echo(part))) as Int16Array;
    expect([arrived, arrived.buffer.byteLength]).toEqual([part, 4]);
    const small = (await ask(main.echo(Buffer.from("abc")))) as Uint8Array;
    expect(small.buffer.byteLength).toBe(3);
  });

  test("a row of a database, which has no prototype, as an object that has", async () => {
    const { ask, main } = makeRig([row, { inner: row }]);
    for (const call of [main.get(), main.echo([row, { inner: row }] as never)]) {
      const arrived = (await ask(call)) as [object, { inner: object }];
      expect(arrived).toEqual([{ ...row }, { inner: { ...row } }]);
      expect(Object.getPrototypeOf(arrived[0])).toBe(Object.prototype);
    }
  });

  test("own fields alone, and none that every object has, nor how it is written as JSON", async () => {
    const { ask, main } = makeRig();
    const sent = Object.assign(Object.create({ inherited: 1 }) as object, {});
    await expect(ask(main.echo(sent as never))).rejects.toMatchObject({ code: "invalid_argument" });
    const hostile = JSON.parse('{"a":1,"__proto__":{"b":2},"constructor":3,"toJSON":4,"hasOwnProperty":5}') as object;
    const arrived = (await ask(main.echo(hostile as never))) as object;
    expect(arrived).toEqual({ a: 1 });
    expect((arrived as { b?: unknown }).b).toBeUndefined();
  });

  test("minus zero as zero, as in JSON", async () => {
    const { ask, main } = makeRig();
    expect(Object.is(await ask(main.echo(-0 as never)), 0)).toBe(true);
  });

  test("not what is done to it after the call was made", async () => {
    const { ask, main } = makeRig();
    const sent = { a: [1] };
    const call = main.echo(sent as never);
    sent.a.push(2);
    expect(await ask(call)).toEqual({ a: [1] });
  });
});

class Odd {
  readonly a = 1;
}
/** The same module, loaded once more. */
const copy = (await import("./stub.ts?copy" as string)) as typeof import("./stub.ts");
const around: Record<string, unknown> = {};
around.self = around;

describe("what cannot be sent fails its call, which says where it stands", () => {
  const path = (value: unknown) => ({ a: [1, 2, value] });
  const unsendable: Record<string, [value: unknown, what: string]> = {
    "a Map": [new Map(), "a Map"],
    "a Set": [new Set(), "a Set"],
    "a symbol": [Symbol("s"), "a symbol"],
    "a regular expression": [/x/, "a RegExp"],
    "an object of a class": [new Odd(), "a Odd"],
    "a promise of JavaScript's": [Promise.resolve(1), "a Promise"],
    "a shared buffer": [new SharedArrayBuffer(1), "a SharedArrayBuffer"],
    "a stub of stock 0.12": [new StockStub(new StockTarget()), "a stub of another package, or"],
    "a stub of a second copy of this package": [
      copy.stubOf(new BrokenRef(new Error("never asked"))),
      "a stub of another package, or",
    ],
  };

  test.each(Object.keys(unsendable))("as an argument: %s", async (name) => {
    const { ask, main, link, clock } = makeRig();
    const [value, what] = unsendable[name]!;
    const error = await ask(main.x(path(value) as never)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid_argument", retryable: false });
    expect((error as Error).message).toContain(`x: argument [0].a[2] cannot be sent: it is ${what}`);
    expect(await ask(main.x("next"))).toBe("done");
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test.each<[string, unknown[], string]>([
    ["the first", [new Map()], "x: argument [0] cannot"],
    ["the third", [1, 2, new Map()], "x: argument [2] cannot"],
    ["in an array", [1, [[new Map()]]], "x: argument [1][0][0] cannot"],
  ])("as an argument: %s", async (_, args, message) => {
    const { ask, main } = makeRig();
    await expect(ask(main.x(...(args as never[])))).rejects.toThrow(message);
  });

  test("what holds itself, or is nested too deep", async () => {
    const { ask, main, link, clock } = makeRig();
    for (const value of [around, nested(100)]) {
      const error = await ask(main.x(value as never)).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining("nested deeper than 64"),
      });
    }
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test.each(
    [new Blob(["x"]), new Headers(), new Request("http://x/"), new Response()].map(
      (value) => [value.constructor.name, value] as const,
    ),
  )("a %s, which others carry", async (_, value) => {
    const { ask, main, link, clock } = makeRig(value);
    await expect(ask(main.x({ a: value } as never))).rejects.toMatchObject({ code: "unimplemented" });
    await expect(ask(main.get())).rejects.toMatchObject({ code: "internal" });
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test.each(Object.keys(unsendable).filter((name) => !name.startsWith("a promise")))(
    "as an answer it is a fault of who wrote the method: %s",
    async (name) => {
      const { ask, main, link, clock } = makeRig(path(unsendable[name]![0]));
      await expect(ask(main.get())).rejects.toMatchObject({ code: "internal", message: "Internal error" });
      expect(await ask(main.x())).toBe("done");
      await clock.advance(10);
      expectNoLeaks({ links: [link] });
    },
  );

  test("and gives nothing: capabilities that stand beside it are taken back", async () => {
    const { ask, main, link, clock } = makeRig();
    let disposed = 0;
    class Kept extends Item {
      [Symbol.dispose]() {
        disposed += 1;
      }
    }
    const args = [new Kept(), { b: new Kept() }, new Map()] as never[];
    await expect(ask(main.x(...args))).rejects.toMatchObject({ code: "invalid_argument" });
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
    expect(disposed).toBeGreaterThanOrEqual(2);
  });
});

test("a target of a second copy of this package is a capability", async () => {
  const { ask, main } = makeRig();
  class Elsewhere extends copy.RpcTarget {
    name() {
      return "elsewhere";
    }
  }
  using given = (await ask(main.echo(new Elsewhere() as never))) as RpcStub<Item>;
  expect(await ask(given.name())).toBe("elsewhere");
});

describe("what is too large fails its call", () => {
  const tooLarge = { code: "resource_exhausted", reason: "message_too_large", retryable: false };
  const cases: Record<string, unknown> = {
    text: "x".repeat(linkLimits.frameBytesMax),
    "text of two bytes a character": "é".repeat(linkLimits.frameBytesMax / 2),
    bytes: new Uint8Array(linkLimits.frameBytesMax),
    "many texts": many(10, "x".repeat(linkLimits.frameBytesMax / 10)),
    values: many(linkLimits.messageNodesMax + 1, 1),
    "values in values": many(linkLimits.messageNodesMax / 2 + 1, [1]),
  };

  test.each(Object.keys(cases))("arguments: %s", async (name) => {
    const { ask, main, link, clock } = makeRig();
    const error = await ask(main.x(cases[name] as never)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      ...tooLarge,
      message: expect.stringContaining("The arguments of x would be more than"),
    });
    expect(await ask(main.x("next"))).toBe("done");
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test.each(Object.keys(cases))("an answer: %s", async (name) => {
    const { ask, main, link, clock } = makeRig(cases[name]);
    const error = await ask(main.get()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      ...tooLarge,
      message: expect.stringContaining("The answer of get would be more than"),
    });
    expect(await ask(main.x("next"))).toBe("done");
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test("what is exactly as large as is allowed arrives", async () => {
    const { ask, main } = makeRig();
    const values = many(linkLimits.messageNodesMax - 1, 1);
    expect(await ask(main.echo(values as never))).toEqual(values);
    const text = "x".repeat(linkLimits.frameBytesMax - 500);
    expect(await ask(main.echo(text as never))).toBe(text);
  });
});

describe("capabilities", () => {
  test("that are passed to and fro arrive as what they are, and nothing is left", async () => {
    const { ask, main, link, clock } = makeRig();
    const item = new Item();
    {
      using echoed = (await ask(main.echo({ a: [item, () => "f"] } as never))) as Disposable & {
        a: [RpcStub<Item>, () => PromiseLike<string>];
      };
      expect(await ask(echoed.a[0].name())).toBe("item");
      expect(await ask(echoed.a[1]())).toBe("f");
    }
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test("that stand in an answer twice are given twice, and disposed once", async () => {
    let disposed = 0;
    class Kept extends Item {
      [Symbol.dispose]() {
        disposed += 1;
      }
    }
    const kept = new Kept();
    const { ask, main, link, clock } = makeRig([kept, kept]);
    const both = (await ask(main.get())) as [RpcStub<Item>, RpcStub<Item>];
    both[0][Symbol.dispose]();
    await clock.settle();
    expect(disposed).toBe(0);
    expect(await ask(both[1].name())).toBe("item");
    both[1][Symbol.dispose]();
    await clock.settle();
    expect(disposed).toBe(1);
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });

  test("of the peer's go back to it by their number", async () => {
    const peer = makeRawPeer();
    const far = peer.session.remoteMain as unknown as {
      give(): Promise<Disposable>;
      take(it: unknown): Promise<unknown>;
    };
    const given = Promise.resolve(far.give());
    await peer.clock.settle();
    await peer.say(["resolve", 1, ["export", -7]]);
    using held = await given;
    void Promise.resolve(far.take({ a: held, main: far })).catch(() => {});
    await peer.clock.settle();
    expect(peer.heard).toContainEqual([
      "call",
      ["pipeline", 0, ["take"], [{ a: ["import", -7], main: ["import", 0] }]],
    ]);
  });

  test("that come later go as the number of the call, when it is one to the same peer", async () => {
    const peer = makeRawPeer();
    const far = peer.session.remoteMain as unknown as {
      give(): { part: unknown };
      take(...it: unknown[]): Promise<unknown>;
    };
    const given = far.give();
    void Promise.resolve(far.take(given, given.part)).catch(() => {});
    await peer.clock.settle();
    expect(peer.heard).toContainEqual([
      "call",
      [
        "pipeline",
        0,
        ["take"],
        [
          ["pipeline", 1],
          ["pipeline", 1, ["part"]],
        ],
      ],
    ]);
  });
});

test("an error in an answer says of itself what an error that is thrown does", async () => {
  const peer = makeRawPeer({ makeMain: () => new Main([new TypeError("secret"), 1]) });
  await peer.say(["push", ["pipeline", 0, ["get"], []]], ["pull", 1]);
  const [, , inside] = rejection(1, { code: "internal" }) as [string, number, unknown];
  expect(peer.answerTo(1)).toEqual(["resolve", 1, [[inside, 1]]]);
  expect(JSON.stringify(peer.heard)).not.toContain("secret");
});
