import { type TSchema, Type } from "typebox";
import { describe, expect, test } from "vitest";
import { RpcTarget } from "../rpc/stub.ts";
import { arg, contract } from "./contract.ts";
import { makeBench } from "./fixtures/bench.ts";
import { anyNumber, bytes, instant } from "./wire-types.ts";

const closed = { additionalProperties: false };

/** Sends `value` to a method that takes what `schema` says, and gives what the method got. */
async function receive(schema: TSchema, value: unknown): Promise<unknown> {
  interface Taker extends RpcTarget {
    take(value: unknown): void;
  }
  const seen: unknown[] = [];
  const TakerContract = contract<Taker>("Taker", { take: { params: [arg("value", schema)] } });
  await using bench = makeBench(TakerContract, { take: (it: unknown) => void seen.push(it) });
  await bench.clock.run(bench.main.take(value as never) as unknown as Promise<void>);
  return seen[0];
}

const Record = Type.Object(
  {
    at: Type.Optional(instant()),
    data: Type.Optional(bytes(4)),
    n: Type.Optional(anyNumber()),
    list: Type.Optional(Type.Array(Type.Union([instant(), Type.String()]))),
    pair: Type.Optional(Type.Tuple([bytes(4), instant()])),
    by: Type.Optional(Type.Object({}, { additionalProperties: instant() })),
    plain: Type.Optional(Type.Object({ note: Type.Optional(Type.String()) }, closed)),
  },
  closed,
);

describe("an argument", () => {
  test.each<[string, TSchema, unknown]>([
    ["bytes", bytes(4), new Uint8Array([1, 2, 255, 0])],
    ["no bytes", bytes(0), new Uint8Array(0)],
    ["a date", instant(), new Date(5)],
    ["a number", anyNumber(), -0.5],
    ["no number", anyNumber(), Number.NaN],
    ["infinity", anyNumber(), Number.NEGATIVE_INFINITY],
    ["a bigint", Type.BigInt(), 10n ** 30n],
    ["a date in an object", Record, { at: new Date(5), n: 1 }],
    ["bytes in an object", Record, { data: new Uint8Array([1]) }],
    ["dates and text in an array", Record, { list: [new Date(5), "later"] }],
    ["a tuple", Record, { pair: [new Uint8Array([7]), new Date(0)] }],
    ["dates by whatever name", Record, { by: { today: new Date(5) } }],
  ])("may be %s, where its schema says so", async (_, schema, value) => {
    expect(await receive(schema, value)).toEqual(value);
  });

  test.each<[string, TSchema, unknown, string]>([
    ["too many bytes", bytes(4), new Uint8Array(5), "value must be a Uint8Array of at most 4 bytes"],
    ["words in place of bytes", bytes(4), new Uint16Array(1), "value must be a Uint8Array of at most 4 bytes"],
    ["text in place of bytes", bytes(4), "1234", "value must be a Uint8Array of at most 4 bytes"],
    ["a date that is none", instant(), new Date(Number.NaN), "value must be a Date"],
    ["a time in place of a date", instant(), 5, "value must be a Date"],
    ["text in place of a number", anyNumber(), "5", "value must be a number"],
    ["no number where a number is taken", Type.Number(), Number.NaN, "value must be number"],
    [
      "a date in the place of bytes",
      Record,
      { data: new Date(0) },
      "value.data must be a Uint8Array of at most 4 bytes",
    ],
    ["a date where every field is optional", Record, new Date(0), "value must be plain data"],
    ["the same deeper", Record, { plain: new Date(0) }, "value.plain must be plain data"],
    ["bytes where every field is optional", Record, { plain: new Uint8Array(0) }, "value.plain must be plain data"],
    ["an address", Type.Object({}, closed), new URL("http://x/"), "value must be plain data"],
    ["a capability", instant(), new RpcTarget(), "value must be a Date"],
  ])("is not %s", async (_, schema, value, message) => {
    await expect(receive(schema, value)).rejects.toMatchObject({ code: "invalid_argument", message });
  });
});
