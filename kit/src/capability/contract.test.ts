import { type TSchema, Type } from "typebox";
import { describe, expect, test } from "vitest";
import { systemClock } from "../base/clock.ts";
import { anonymous } from "../base/peer.ts";
import { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { expose } from "./boundary.ts";
import { arg, contract, withBuiltIns } from "./contract.ts";

const closed = { additionalProperties: false };
const open = Type.Object({ a: Type.String() });
const strict = Type.Object({ a: Type.String() }, closed);

describe("the name of a method", () => {
  interface Loose extends RpcTarget {
    [name: string]: (...args: never[]) => unknown;
  }

  test.each([
    ...["deposit", "withdraw", "cancelDeposit"],
    ...["then", "catch", "finally", "map", "dup", "onRpcBroken", "toJSON"],
    ...["constructor", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf", "__defineGetter__"],
  ])("is reserved: %s", (name) => {
    expect(() => contract<Loose>("Loose", { [name]: { params: [] } })).toThrow(/^Loose: .+ is reserved$/);
  });

  test("that is reserved to the kit is free for the kit", async () => {
    interface Bare extends RpcTarget {
      greet(): string;
    }
    const base = contract<Bare>("Bare", { greet: { params: [] } });
    const built = withBuiltIns(base as never, { deposit: { params: [], builtIn: () => "kept" } });
    expect([...built.methods.keys()]).toEqual(["greet", "deposit"]);
    expect([...base.methods.keys()]).toEqual(["greet"]);
    using target = new RpcStub(expose(built, { greet: () => "hello" } as never, { peer: anonymous }));
    expect(await (target as unknown as { deposit(): Promise<string> }).deposit()).toBe("kept");
  });
});

test("a boundary shows nothing of what it stands for", () => {
  interface Bare extends RpcTarget {
    greet(): string;
  }
  const BareContract = contract<Bare>("Bare", { greet: { params: [] } });
  const target = expose(BareContract, { greet: () => "hello" }, { peer: anonymous });
  expect(target).toBeInstanceOf(RpcTarget);
  expect(Reflect.ownKeys(target)).toEqual([]);
  const names = Reflect.ownKeys(Object.getPrototypeOf(target)).filter((key) => typeof key === "string");
  expect(names).toEqual(["constructor"]);
});

describe("a schema that would let anything through is refused when it is written down", () => {
  const inField = (schema: TSchema) => Type.Object({ field: schema }, closed);
  const refused: Record<string, TSchema> = {
    "an open object": open,
    "an object that says it is open": Type.Object({}, { additionalProperties: true }),
    "an open object in a field": inField(open),
    "an open object in an optional field": Type.Object({ field: Type.Optional(open) }, closed),
    "an open object in an array": Type.Array(open),
    "an open object in a tuple": Type.Tuple([Type.String(), open]),
    "an open object in a union": Type.Union([strict, open]),
    "an open object in an intersection": Type.Intersect([strict, open]),
    "an open object in a record": Type.Record(Type.String(), open, closed),
    "an open object among further properties": Type.Object({}, { additionalProperties: open }),
    "an open object in a union in an array in a field": inField(Type.Array(Type.Union([Type.Null(), open]))),
    "an open record": Type.Record(Type.String(), Type.String()),
    "an open object without a type": Type.Unsafe<object>({ properties: { a: { type: "string" } } }),
    anything: Type.Any(),
    "anything, with a title": Type.Any({ title: "anything" }),
    "anything unknown": Type.Unknown(),
    "anything in a field": inField(Type.Any()),
    "anything in an array": Type.Array(Type.Any()),
    "anything among further properties": Type.Object({}, { additionalProperties: {} }),
    "an array of whatever": Type.Unsafe<unknown[]>({ type: "array" }),
    "whatever is not a string": Type.Unsafe<unknown>({ not: { type: "string" } }),
    "a function": Type.Function([], Type.String()),
    "a promise": Type.Unsafe<unknown>({ type: "promise" }),
    "a symbol": Type.Symbol(),
    "a reference to what is elsewhere": Type.Ref("Elsewhere"),
    "one of several types": Type.Unsafe<unknown>({ type: ["object", "null"] }),
    // Names of fields that are words of schemas too.
    "an open object in a field called type": Type.Object({ type: open }, closed),
    "an open object in a field called properties": Type.Object({ properties: open }, closed),
    "an open object in a field called enum": Type.Object({ enum: open }, closed),
    "an open object in a field called const": Type.Object({ const: open }, closed),
    "an open object in a field called required": Type.Object({ required: open }, closed),
    "an open object in a field called items": Type.Object({ items: open, anyOf: Type.String() }, closed),
    "an open object in a field called additionalProperties": Type.Object({ additionalProperties: open }, closed),
  };

  test.each(Object.keys(refused))("%s", (name) => {
    expect(() => arg("value", refused[name]!)).toThrow(/^value: /);
  });

  const fields = ["type", "properties", "enum", "const", "required", "items", "anyOf", "additionalProperties", "not"];
  const accepted: Record<string, [schema: TSchema, right: unknown, wrong: unknown]> = {
    "an object without fields": [Type.Object({}, closed), {}, { a: 1 }],
    "an object": [strict, { a: "b" }, { a: "b", c: 1 }],
    "an object whose fields are called like words of schemas": [
      Type.Object(Object.fromEntries(fields.map((field) => [field, Type.String()])), closed),
      Object.fromEntries(fields.map((field) => [field, "x"])),
      {},
    ],
    "an object with fields called like words of schemas that are objects": [
      Type.Object({ type: strict, properties: Type.Object({ type: strict }, closed) }, closed),
      { type: { a: "b" }, properties: { type: { a: "b" } } },
      { type: { a: "b", c: 1 }, properties: { type: { a: "b" } } },
    ],
    "a record": [Type.Record(Type.String(), Type.Number(), closed), { a: 1 }, { a: "1" }],
    "an object with further properties of one shape": [
      Type.Object({ a: Type.String() }, { additionalProperties: Type.Number() }),
      { a: "b", c: 1 },
      { a: "b", c: "1" },
    ],
    "a union": [Type.Union([strict, Type.Null()]), null, {}],
    "a choice of words": [Type.Enum(["a", "b"]), "a", "c"],
    "a literal": [Type.Literal(5), 5, 6],
    "an array": [Type.Array(strict), [{ a: "b" }], [{}]],
    "a tuple": [Type.Tuple([Type.String(), Type.Number()]), ["a", 1], ["a", 1, 2]],
    "a bigint": [Type.BigInt(), 5n, 5],
    "a text of a pattern": [Type.String({ pattern: "^order-[0-9]+$" }), "order-5", "order-x"],
    "a default that is an object": [Type.Object({ a: Type.String() }, { ...closed, default: {} }), { a: "b" }, {}],
    "nothing at all": [Type.Object({ a: Type.Optional(Type.Never()) }, closed), {}, { a: 1 }],
  };

  test.each(Object.keys(accepted))("but not %s, which takes what fits and nothing else", (name) => {
    const [schema, right, wrong] = accepted[name]!;
    const { receive } = arg("value", schema);
    const env = { peer: anonymous, clock: systemClock };
    expect(receive(right, env)).toBe(right);
    expect(() => receive(wrong, env)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});
