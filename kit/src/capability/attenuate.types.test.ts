import { expect, test } from "vitest";
import { type Introducible, introducible } from "../introduction/home.ts";
import type { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { attenuate } from "./attenuate.ts";
import type { Implementation } from "./contract.ts";
import { type Cabinet, CabinetContract, type Drawer, DrawerContract, makeCabinet } from "./fixtures/cabinet.ts";
import { makeRevoker } from "./revoker.ts";

// What must not compile. `tsc --noEmit` proves it: each `@ts-expect-error` is an error itself where there is none below.

const cabinet = makeCabinet(makeVirtualClock());

test("what fits compiles, and the rest of this file does not (see `tsc`)", () => {
  const left: Implementation<Cabinet> & Disposable = attenuate(CabinetContract, cabinet, { only: ["read", "drawer"] });
  expect(attenuate(CabinetContract, left, { revoker: makeRevoker(), until: 5 }).read).toBeTypeOf("function");
});

/** Never run. */
export function stubsCompile(stub: RpcStub<Drawer>, promise: RpcPromise<Drawer & Introducible>): void {
  attenuate(DrawerContract, stub, { only: ["look"] });
  attenuate(DrawerContract, promise, { only: ["look"] });
  attenuate(introducible(DrawerContract), promise, { only: ["look"], times: 1 });
}

/** Never run. */
export function attenuationsThatDoNotCompile(stub: RpcStub<Drawer>): void {
  // @ts-expect-error no method of it
  attenuate(CabinetContract, cabinet, { only: ["burn"] });
  // @ts-expect-error one of them is no method of it
  attenuate(CabinetContract, cabinet, { only: ["read", "burn"] });
  // @ts-expect-error no method but a part of every object
  attenuate(CabinetContract, cabinet, { only: ["toString"] });
  // @ts-expect-error what the kit adds is not for the list: expose it under a contract that is not introducible
  attenuate(introducible(DrawerContract), stub, { only: ["deposit"] });
  // @ts-expect-error a stub of something else
  attenuate(CabinetContract, stub, { only: ["read"] });
  // @ts-expect-error an object of something else
  attenuate(DrawerContract, cabinet, {});
  // @ts-expect-error an object that lacks a method
  attenuate(DrawerContract, { look: () => "" }, { only: ["look"] });
  // @ts-expect-error no such limit
  attenuate(CabinetContract, cabinet, { untilMs: 5 });
  // @ts-expect-error a rate without its time
  attenuate(CabinetContract, cabinet, { rate: { calls: 5 } });
  // @ts-expect-error a revoker that tells nobody
  attenuate(CabinetContract, cabinet, { revoker: { isRevoked: false } });
  const other: Implementation<RpcTarget> = attenuate(CabinetContract, cabinet, {});
  void other;
}
