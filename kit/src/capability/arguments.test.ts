import { Type } from "typebox";
import { describe, expect, test } from "vitest";
import { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
import { arg, contract, optional } from "./contract.ts";
import { codeOf, makeBench, makeRawBench } from "./fixtures/bench.ts";
import { makeDataCheck } from "./schema.ts";

interface Item {
  readonly sku: string;
  readonly quantity: number;
  readonly note?: string | undefined;
}
interface Shop extends RpcTarget {
  find(sku: string): string;
  order(items: Item[], options?: { readonly gift?: boolean; readonly wrap?: string }): number;
  count(quantity: number): number;
  shelf(): Shelf;
}
/** A capability to send where data belongs. */
interface Shelf extends RpcTarget {
  label(): string;
}
const closed = { additionalProperties: false };
const Sku = Type.String({ minLength: 1, maxLength: 20 });
const Quantity = Type.Integer({ minimum: 0, maximum: 100 });
const ItemSchema = Type.Object(
  { sku: Sku, quantity: Quantity, note: Type.Optional(Type.Union([Type.String(), Type.Undefined()])) },
  closed,
);
const Options = Type.Object({ gift: Type.Optional(Type.Boolean()), wrap: Type.Optional(Type.String()) }, closed);
const ShopContract = contract<Shop>("Shop", {
  find: { params: [arg("sku", Sku)] },
  order: { params: [arg("items", Type.Array(ItemSchema, { maxItems: 100 })), optional(arg("options", Options))] },
  count: { params: [arg("quantity", Quantity)] },
  shelf: { params: [], returns: contract<Shelf>("Shelf", { label: { params: [] } }) },
});
class ShopImpl {
  readonly seen: unknown[] = [];
  find(sku: string) {
    this.seen.push(sku);
    return sku;
  }
  order(items: Item[], options?: { readonly gift?: boolean }) {
    this.seen.push(items, options);
    return items.length;
  }
  count(quantity: number) {
    this.seen.push(quantity);
    return quantity;
  }
  shelf() {
    return { label: () => "sku" };
  }
}

function makeShop() {
  const shop = new ShopImpl();
  const bench = makeBench(ShopContract, shop);
  const main = bench.main as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  return {
    shop,
    bench,
    call: (method: string, ...args: unknown[]) => bench.clock.run(main[method]!(...args)),
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

class Liar extends RpcTarget {
  asked = 0;
  override toString() {
    this.asked += 1;
    return "sku";
  }
  toJSON() {
    this.asked += 1;
    return "sku";
  }
  override valueOf() {
    this.asked += 1;
    return 1;
  }
  get length() {
    this.asked += 1;
    return 3;
  }
  get sku() {
    this.asked += 1;
    return "sku";
  }
}

/** Whatever capnweb carries, none of it a short text, a number from 0 to 100, an item or options. */
const liar = new Liar();
const values: Record<string, unknown> = {
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  "minus infinity": Number.NEGATIVE_INFINITY,
  "a fraction": 1.5,
  "a huge number": 1e308,
  "a negative number": -1,
  true: true,
  null: null,
  "a bigint": 7n,
  "a date": new Date(7),
  "a date that is none": new Date(Number.NaN),
  bytes: new Uint8Array([55]),
  "an empty list in a list": [[]],
  "a text in a list": ["sku"],
  "an object": { sku: "sku" },
  "an error": Object.assign(new Error("sku"), { sku: "sku", quantity: 1 }),
  "an error with the fields asked for": Object.assign(new Error(""), { gift: true }),
  "an address": new URL("http://x/"),
  "a function": () => "sku",
  "a target": liar,
  "a stub": new RpcStub(liar),
  "a list of targets": [liar],
  "an object with a target": { sku: liar, quantity: 1 },
  "a long text": "x".repeat(21),
  "an empty text": "",
};

describe("an argument of the wrong shape is refused before the method runs, and nothing is asked of it", () => {
  const refused = { code: "invalid_argument" };
  const wrong = (...alsoRight: string[]) => Object.keys(values).filter((name) => !alsoRight.includes(name));
  const places: [string, string[], (value: unknown) => [method: string, ...args: unknown[]], RegExp][] = [
    ["a text", wrong(), (value) => ["find", value], /^sku /],
    ["a number", wrong(), (value) => ["count", value], /^quantity /],
    ["a list", wrong(), (value) => ["order", value], /^items/],
    ["an object", wrong(), (value) => ["order", [], value], /^options/],
    ["a field of text", wrong(), (value) => ["order", [{ sku: value, quantity: 1 }]], /^items\[0\]\.sku /],
    ["a field of number", wrong(), (value) => ["order", [{ sku: "a", quantity: value }]], /^items\[0\]\.quantity /],
    [
      "a field that may be absent",
      wrong("a long text", "an empty text"),
      (value) => ["order", [{ sku: "a", quantity: 1, note: value }]],
      /^items\[0\]\.note /,
    ],
    [
      "a field of an object",
      wrong(),
      (value) => ["order", [], { gift: value === true ? "yes" : value }],
      /^options\.gift /,
    ],
    ["an item", wrong(), (value) => ["order", [value]], /^items\[0\]/],
  ];
  const cases = places.flatMap(([place, names, toCall, message]) =>
    names.map((name) => [name, place, toCall, message] as const),
  );

  test.each(cases)("%s where %s belongs", async (name, _, toCall, message) => {
    await using rig = makeShop();
    await expect(rig.call(...toCall(values[name]))).rejects.toMatchObject({ ...refused, message });
    expect(rig.shop.seen).toEqual([]);
    expect(rig.bench.outbound()).toEqual([]);
    expect(liar.asked).toBe(0);
  });

  test("a promise of a capability where a text belongs", async () => {
    await using rig = makeShop();
    using promised = rig.bench.main.shelf();
    await expect(rig.call("find", promised)).rejects.toMatchObject(refused);
    expect([rig.shop.seen, rig.bench.outbound()]).toEqual([[], []]);
  });

  test("a capability of our own come home where a text belongs", async () => {
    await using rig = makeShop();
    using home = await rig.bench.clock.run(rig.bench.main.shelf());
    await expect(rig.call("find", home)).rejects.toMatchObject(refused);
    await expect(rig.call("order", [{ sku: home, quantity: 1 }])).rejects.toMatchObject(refused);
    expect([rig.shop.seen, rig.bench.outbound()]).toEqual([[], []]);
  });
});

describe("the message of a refusal names", () => {
  test.each([
    ["a field deep inside", ["order", [{ sku: "a", quantity: "2" }]], "items[0].quantity must be integer"],
    ["a field that is missing", ["order", [{ sku: "a" }]], "items[0].quantity is missing"],
    [
      "a field too many",
      ["order", [{ sku: "a", quantity: 1, price: -5 }]],
      "items[0].price is not a field that is known here",
    ],
    ["an argument that is missing", ["order"], "items is missing"],
    ["an argument too many", ["find", "a", "b"], "Takes at most 1 argument"],
    ["an argument that is undefined", ["find", undefined], "sku must be string"],
    ["what is not plain data", ["order", [], new Date(0)], "options must be plain data"],
    [
      "no more of what the caller wrote than a hundred characters",
      ["order", [], { ["x".repeat(5_000)]: 1 }],
      /^options\.x{92} /,
    ],
  ])("%s", async (_, call, message) => {
    await using rig = makeShop();
    const [method = "", ...args] = call as [string, ...unknown[]];
    const failure = await rig.call(method, ...args).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ code: "invalid_argument" });
    if (message instanceof RegExp) expect((failure as Error).message).toMatch(message);
    else expect((failure as Error).message).toBe(message);
  });
});

test.each([
  ["of constants", "closed", Type.Union([Type.Literal("open"), Type.Literal("shut")]), 'it must be "open" or "shut"'],
  ["of types", true, Type.Union([Type.String(), Type.Integer()]), "it must be string or integer"],
  [
    "of objects",
    {},
    Type.Union([Type.String(), Type.Object({ a: Type.Integer() }, closed)]),
    "it has none of the forms allowed: it must be string; or it.a is missing",
  ],
  [
    "of objects that have a kind",
    { kind: "cash", iban: 1 },
    Type.Union([
      Type.Object({ kind: Type.Literal("card") }, closed),
      Type.Object({ kind: Type.Literal("bank"), iban: Type.String() }, closed),
    ]),
    'it has none of the forms allowed: it.kind must be "card"; or it.kind must be "bank"',
  ],
  [
    "within a union",
    { a: 3 },
    Type.Union([
      Type.Object({ a: Type.Union([Type.Literal(1), Type.Literal(2)]) }, closed),
      Type.Object({ b: Type.Integer() }, closed),
    ]),
    "it has none of the forms allowed: it.a must be 1 or 2; or it.b is missing",
  ],
  [
    "of objects alone",
    1,
    Type.Union([Type.Object({ a: Type.Integer() }, closed), Type.Object({ b: Type.Integer() }, closed)]),
    "it must be object",
  ],
])("a value that fits no branch of a union %s hears what is allowed", (_, value, schema, message) => {
  expect(() => makeDataCheck("it", schema)(value, true)).toThrow(message);
});

describe("an argument of the right shape", () => {
  test("arrives as it was sent", async () => {
    await using rig = makeShop();
    const items = [
      { sku: "a", quantity: 2 },
      { sku: "b", quantity: 100, note: "x" },
    ];
    expect(await rig.call("order", items, { gift: true })).toBe(2);
    expect(rig.shop.seen).toEqual([items, { gift: true }]);
  });

  test("may be left out, or be undefined, where it is optional", async () => {
    await using rig = makeShop();
    await rig.call("order", []);
    await rig.call("order", [], undefined);
    await rig.call("order", [], {});
    expect(rig.shop.seen).toEqual([[], undefined, [], undefined, [], {}]);
    await expect(rig.call("order", [], null)).rejects.toMatchObject({ code: "invalid_argument" });
  });

  test("may be the result of a call that is still under way", async () => {
    await using rig = makeShop();
    using sku = rig.bench.main.find("a");
    expect(await rig.call("find", sku)).toBe("a");
    using own = new RpcPromise(Promise.resolve("b") as unknown as Promise<RpcTarget>);
    expect(await rig.call("find", await own)).toBe("b");
  });

  test("is zero where a negative zero was sent, and compares as zero where a peer wrote one by hand", async () => {
    await using rig = makeShop();
    await rig.call("count", -0);
    expect(Object.is(rig.shop.seen[0], 0)).toBe(true);
    const shop = new ShopImpl();
    const [, , answer] = await makeRawBench(ShopContract, shop).ask('["pipeline",0,["count"],[-0]]');
    expect(answer).toBe(0);
    expect(shop.seen[0] === 0).toBe(true);
  });
});

describe("a peer that writes its messages by hand", () => {
  const ask = async (args: string) => {
    const shop = new ShopImpl();
    const answer = await makeRawBench(ShopContract, shop).ask(`["pipeline",0,["order"],${args}]`);
    return { answer, shop };
  };

  test.each([
    ['[[[]],{"__proto__":{"gift":true}}]', [[], {}]],
    ['[[[]],{"constructor":{"prototype":{"gift":true}},"toJSON":1}]', [[], {}]],
  ])("pollutes nothing with %s", async (args, seen) => {
    const { answer, shop } = await ask(args);
    expect(answer[0]).toBe("resolve");
    expect(shop.seen).toEqual(seen);
    expect((shop.seen[1] as { gift?: unknown }).gift).toBeUndefined();
    expect(({} as { gift?: unknown }).gift).toBeUndefined();
  });

  test.each([
    '[{"0":{"sku":"a","quantity":1},"length":1}]',
    '[[[{"sku":"a","quantity":1e400}]]]',
    '[[[{"sku":"a","quantity":["inf"]}]]]',
    '[[[{"sku":["undefined"],"quantity":1}]]]',
    '[[[["error","Error","",null,{"sku":"a","quantity":1}]]]]',
    '[[[]],["error","Error","",null,{"gift":true}]]',
    '[[[]],{"gift":true},["undefined"]]',
    "[]",
  ])("gets nowhere with %s", async (args) => {
    const { answer, shop } = await ask(args);
    expect(codeOf(answer)).toBe("invalid_argument");
    expect(shop.seen).toEqual([]);
  });
});
