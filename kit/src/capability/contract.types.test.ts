import { Type } from "typebox";
import { expect, test } from "vitest";
import { anonymous } from "../base/peer.ts";
import { type Introducible, introducible } from "../introduction/home.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { expose } from "./boundary.ts";
import { arg, callback, contract, optional } from "./contract.ts";
import { anyNumber, bytes, instant } from "./wire-types.ts";

// What must not compile. `tsc --noEmit` proves it: each `@ts-expect-error` is an error itself where there is none below.

interface Cup extends RpcTarget {
  fill(ml: number): string;
}
interface Bar extends RpcTarget {
  order(drink: "tea" | "coffee", sugars?: number): string;
  cup(size: number): Cup;
  call(back: RpcStub<Cup>): string;
}
const Drink = arg("drink", Type.Union([Type.Literal("tea"), Type.Literal("coffee")]));
const Sugars = optional(arg("sugars", Type.Integer()));
const Size = arg("size", Type.Number());
const CupContract = contract<Cup>("Cup", { fill: { params: [arg("ml", Type.Number())] } });
const order = { params: [Drink, Sugars] } as const;
const cup = { params: [Size], returns: CupContract } as const;
const call = { params: [callback<Cup>("back")] } as const;

const BarContract = contract<Bar>("Bar", { order, cup, call });
const implementation = {
  order: (drink: "tea" | "coffee", sugars?: number) => `${drink} ${sugars}`,
  cup: () => ({ fill: (ml: number) => `${ml}` }),
  call: (back: RpcStub<Cup>) => String(back),
};
const env = { peer: anonymous };

test("what fits compiles, and the rest of this file does not (see `tsc`)", () => {
  expect([...BarContract.methods.keys()]).toEqual(["order", "cup", "call"]);
  expect(() => expose(BarContract, implementation, env)).not.toThrow();
});

/** Never run. */
export function contractsThatDoNotCompile(): void {
  // @ts-expect-error a method is missing
  contract<Bar>("Bar", { order, cup });
  // @ts-expect-error a method too many
  contract<Bar>("Bar", { order, cup, call, pay: { params: [] } });
  // @ts-expect-error the schema lets any text through where the interface takes two words
  contract<Bar>("Bar", { order: { params: [arg("drink", Type.String()), Sugars] }, cup, call });
  const maybe = { ...cup, params: [arg("size", Type.Union([Type.Number(), Type.Null()]))] } as const;
  // @ts-expect-error the schema lets null through
  contract<Bar>("Bar", { order, cup: maybe, call });
  // @ts-expect-error the schema lets another type through
  contract<Bar>("Bar", { order, cup: { ...cup, params: [arg("size", Type.String())] }, call });
  // @ts-expect-error a parameter is missing
  contract<Bar>("Bar", { order: { params: [Drink] }, cup, call });
  // @ts-expect-error a parameter too many
  contract<Bar>("Bar", { order: { params: [Drink, Sugars, Size] }, cup, call });
  // @ts-expect-error parameters in another order
  contract<Bar>("Bar", { order: { params: [Sugars, Drink] }, cup, call });
  // @ts-expect-error a capability leaves without a contract
  contract<Bar>("Bar", { order, cup: { params: [Size] }, call });
  // @ts-expect-error a capability leaves by another one's contract
  contract<Bar>("Bar", { order, cup: { params: [Size], returns: BarContract }, call });
  // @ts-expect-error data leaves by a contract
  contract<Bar>("Bar", { order: { ...order, returns: CupContract }, cup, call });
  // @ts-expect-error data where a capability is taken
  contract<Bar>("Bar", { order, cup, call: { params: [arg("back", Type.Object({}))] } });
  // @ts-expect-error another capability than the one that is taken
  contract<Bar>("Bar", { order, cup, call: { params: [callback<Bar>("back")] } });
  // @ts-expect-error an interface that is no target
  contract<{ greet(): string }>("Loose", { greet: { params: [] } });
}

/** Never run. */
export function grantsThatDoNotCompile(): void {
  interface Plain extends RpcTarget {
    cup(): Cup;
  }
  interface Lending extends RpcTarget {
    cup(): Cup & Introducible;
  }
  contract<Plain>("Plain", { cup: { params: [], returns: CupContract } });
  contract<Lending>("Lending", { cup: { params: [], returns: introducible(CupContract) } });
  // @ts-expect-error the contract grants more than the interface says
  contract<Plain>("Plain", { cup: { params: [], returns: introducible(CupContract) } });
  // @ts-expect-error the interface promises more than the contract grants
  contract<Lending>("Lending", { cup: { params: [], returns: CupContract } });
}

/** Never run. */
export function resultsThatDoNotCompile(): void {
  interface Leaf {
    readonly size: number;
    readonly made: Date;
    readonly parts: readonly Leaf[];
    readonly next?: Leaf | null;
    readonly bytes: Uint8Array;
    readonly at: URL;
    readonly count: bigint;
  }
  interface Tree extends RpcTarget {
    get(): Promise<Leaf[]>;
    anything(): unknown;
    nothing(): void;
  }
  contract<Tree>("Tree", { get: { params: [] }, anything: { params: [] }, nothing: { params: [] } });

  type Giving<R> = RpcTarget & { give(): R };
  const give = { params: [] } as const;
  contract<Giving<{ name: string; message: string }>>("Giving", { give });
  // @ts-expect-error an error
  contract<Giving<Error>>("Giving", { give });
  // @ts-expect-error an error in data
  contract<Giving<{ why: TypeError | undefined }>>("Giving", { give });
  // @ts-expect-error what fetch answers
  contract<Giving<Response>>("Giving", { give });
  // @ts-expect-error headers
  contract<Giving<{ sent: Headers }>>("Giving", { give });
  // @ts-expect-error a stream
  contract<Giving<ReadableStream>>("Giving", { give });
  // @ts-expect-error a capability in an array
  contract<Giving<Cup[]>>("Giving", { give });
  // @ts-expect-error a capability in a tuple
  contract<Giving<readonly [string, Cup]>>("Giving", { give });
  // @ts-expect-error a capability in an object
  contract<Giving<{ cup: Cup; size: number }>>("Giving", { give });
  // @ts-expect-error a capability deep in an object, perhaps
  contract<Giving<Promise<{ rows: { cup?: Cup | undefined }[] }>>>("Giving", { give });
  // @ts-expect-error a capability or nothing
  contract<Giving<Cup | null>>("Giving", { give });
  // @ts-expect-error somebody else's capability in an object
  contract<Giving<{ cup: RpcStub<Cup> }>>("Giving", { give });
  // @ts-expect-error a function
  contract<Giving<() => number>>("Giving", { give });
  // @ts-expect-error a Map
  contract<Giving<Map<string, number>>>("Giving", { give });
  // @ts-expect-error a Set in an object
  contract<Giving<{ names: Set<string> }>>("Giving", { give });
  // @ts-expect-error a Blob, perhaps
  contract<Giving<Promise<Blob | null>>>("Giving", { give });
  // @ts-expect-error a pattern in an array
  contract<Giving<RegExp[]>>("Giving", { give });
  // @ts-expect-error a promise within data
  contract<Giving<{ later: Promise<number> }>>("Giving", { give });
  // @ts-expect-error a symbol
  contract<Giving<symbol>>("Giving", { give });
  // @ts-expect-error nor by a contract
  contract<Giving<Cup[]>>("Giving", { give: { params: [], returns: CupContract } });
}

/** Never run. */
export function argumentsThatDoNotCompile(): void {
  type Taking<A> = RpcTarget & { take(value: A): void };
  contract<Taking<Uint8Array>>("Taking", { take: { params: [arg("value", bytes(10))] } });
  contract<Taking<{ at: Date; n?: number }>>("Taking", {
    take: {
      params: [
        arg("value", Type.Object({ at: instant(), n: Type.Optional(anyNumber()) }, { additionalProperties: false })),
      ],
    },
  });
  // @ts-expect-error text where bytes are taken
  contract<Taking<Uint8Array>>("Taking", { take: { params: [arg("value", Type.String())] } });
  // @ts-expect-error bytes where text is taken
  contract<Taking<string>>("Taking", { take: { params: [arg("value", bytes(10))] } });
  // @ts-expect-error a capability that is no standing answer
  contract<{ cup(): Cup } & RpcTarget>("Giving", { cup: { params: [], returns: CupContract, standing: true } });
  // @ts-expect-error an object that its user could change
  contract<{ give(): { a: number } } & RpcTarget>("Giving", { give: { params: [], standing: true } });
}

/** Never run. */
export function implementationsThatDoNotCompile(): void {
  const { order, cup, call } = implementation;
  // @ts-expect-error a method is missing
  expose(BarContract, { order, cup }, env);
  // @ts-expect-error another result
  expose(BarContract, { order: () => 5, cup, call }, env);
  // @ts-expect-error another parameter
  expose(BarContract, { order: (drink: "tea") => drink, cup, call }, env);
  // @ts-expect-error a capability that lacks a method
  expose(BarContract, { order, cup: () => ({}), call }, env);
  // @ts-expect-error data where a capability leaves
  expose(BarContract, { order, cup: () => "cup", call }, env);
  // @ts-expect-error nobody to do it for
  expose(BarContract, implementation, {});
}
