import { inspect } from "node:util";
import { arg, contract, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";
import { expect, test } from "vitest";
import { makeHoldings } from "./holdings.ts";

interface Drawer extends RpcTarget {
  count(): number;
}
interface Cabinet extends RpcTarget {
  open(token: string, password: string): Drawer;
}
const DrawerContract = contract<Drawer>("Drawer", { count: { params: [] } });
const CabinetContract = contract<Cabinet>("Cabinet", {
  open: { params: [arg("token", Type.String()), arg("password", Type.String())], returns: DrawerContract },
});
interface CabinetHandle {
  open(token: string, password: string): PromiseLike<DrawerHandle> & DrawerHandle;
}
type DrawerHandle = Disposable & { count(): Promise<number> };

/** A cabinet as capnweb would give it: whatever is asked of a stub is written down. */
function makeCabinet({ refuses = false } = {}) {
  const asked: string[] = [];
  const disposed: string[] = [];
  let sessionNumber = 1;
  const disposable = (name: string) => ({ [Symbol.dispose]: () => void disposed.push(name) });
  const drawer = new Proxy(disposable("stub"), {
    get(target, property) {
      if (property === Symbol.dispose) return target[Symbol.dispose];
      // A promise that resolves with it asks whether it is one, too.
      if (property === "then") return undefined;
      asked.push(String(property));
      return () => Object.assign(Promise.resolve(3), disposable("answer"));
    },
  });
  const open = () => {
    const come = refuses
      ? Promise.reject(Object.assign(new Error("Locked"), { code: "permission_denied" }))
      : Promise.resolve(drawer);
    return Object.assign(come, disposable("promise"), {
      count: () => Object.assign(Promise.resolve(2), disposable("answer")),
    });
  };
  const holdings = makeHoldings({
    name: "cabinet",
    contract: CabinetContract,
    main: () => ({ open }),
    sessionNumber: () => sessionNumber,
  });
  const reconnect = () => {
    sessionNumber += 1;
  };
  return { holdings, cabinet: holdings.root as CabinetHandle, asked, disposed, reconnect };
}

test("to look at a capability, to list its methods or to await it asks nothing of it", async () => {
  const { cabinet, asked, holdings } = makeCabinet();
  const drawer = await cabinet.open("token-12345678", "secret");
  expect([inspect(drawer), `${drawer}`, JSON.stringify(drawer), Object.keys(drawer), await drawer]).toEqual([
    ...["[Drawer #1: 1 methods]", "[Drawer #1: 1 methods]", "{}", ["count"], drawer],
  ]);
  expect(inspect(drawer.count)).toBe("count()");
  expect(holdings.isCapability(drawer)).toBe(true);
  expect(asked).toEqual([]);
  expect(await drawer.count()).toBe(3);
  expect(asked).toEqual(["count"]);
});

test("how it was obtained is known, without the secrets", async () => {
  const { cabinet, holdings } = makeCabinet();
  const drawer = await cabinet.open("token-12345678", "secret");
  expect(holdings.known(drawer)).toMatchObject({
    chain: "cabinet.open(…12345678, …)",
    from: 0,
    state: "held",
    isLost: false,
  });
});

test("a call before it has come goes by its promise, and letting go disposes promise and stub", async () => {
  const { cabinet, holdings, disposed } = makeCabinet();
  const drawer = cabinet.open("t", "p");
  expect(await drawer.count()).toBe(2);
  const held = await drawer;
  disposed.length = 0;
  expect(holdings.release(held)).toBe(1);
  expect(holdings.release(held)).toBe(0);
  expect(disposed).toEqual(["promise", "stub"]);
  expect(() => held.count()).toThrow("This capability was let go");
  expect(holdings.all()).toHaveLength(1);
});

test("one that is let go while it is on its way is disposed when it comes", async () => {
  const { cabinet, holdings, disposed } = makeCabinet();
  const drawer = cabinet.open("t", "p");
  const come = Promise.resolve(drawer);
  holdings.releaseAll();
  await come;
  expect(disposed.toSorted()).toEqual(["promise", "stub"]);
});

test("what is refused is not held", async () => {
  const { cabinet, holdings, disposed } = makeCabinet({ refuses: true });
  await expect(Promise.resolve(cabinet.open("t", "p"))).rejects.toMatchObject({ code: "permission_denied" });
  expect(holdings.all()).toHaveLength(1);
  expect(disposed).toEqual(["promise"]);
});

test("`using` lets go; what came over a session that is gone is lost", async () => {
  const { cabinet, holdings, reconnect } = makeCabinet();
  {
    using _ = await cabinet.open("t", "p");
    expect(holdings.all()).toHaveLength(2);
  }
  expect(holdings.all()).toHaveLength(1);
  const drawer = await cabinet.open("t", "p");
  reconnect();
  expect(holdings.known(drawer).isLost).toBe(true);
  expect(holdings.known(cabinet).isLost).toBe(false);
});
