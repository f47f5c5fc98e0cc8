import { describe, expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { anonymous } from "../base/peer.ts";
import { makeTurns } from "../resilience/turns.ts";
import { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { expose } from "./boundary.ts";
import { expiring } from "./expiry.ts";
import { finish, MainContract, MainImpl, makeMain, seen } from "./fixtures/main.ts";
import { makeRevoker, revocable } from "./revoker.ts";

const revoked = { code: "permission_denied", reason: "revoked", retryable: false };

describe("a revoker", () => {
  test("tells each listener once, in order, and revokes once", () => {
    const revoker = makeRevoker();
    const heard: string[] = [];
    revoker.onRevoked(() => heard.push(`first ${revoker.isRevoked}`));
    revoker.onRevoked(() => heard.push("second"));
    expect(revoker.isRevoked).toBe(false);
    revoker.revoke();
    revoker.revoke();
    expect([revoker.isRevoked, heard]).toEqual([true, ["first true", "second"]]);
  });

  test("tells at once who asks when it is over, and nobody who cancelled", () => {
    const revoker = makeRevoker();
    const heard: string[] = [];
    const cancel = revoker.onRevoked(() => heard.push("cancelled"));
    cancel();
    cancel();
    revoker.onRevoked(() => cancelNext());
    const cancelNext = revoker.onRevoked(() => heard.push("cancelled by another that was told"));
    revoker.revoke();
    revoker.onRevoked(() => heard.push("late"))();
    expect(heard).toEqual(["late"]);
  });

  test("ends all the same when a listener throws: the others hear, and then it says so", () => {
    const parent = makeRevoker();
    const child = makeRevoker(parent);
    const fault = new Error("listener");
    const heard: string[] = [];
    child.onRevoked(() => {
      throw fault;
    });
    child.onRevoked(() => heard.push("child"));
    parent.onRevoked(() => heard.push("parent"));
    expect(() => parent.revoke()).toThrow(AggregateError);
    expect([parent.isRevoked, child.isRevoked, heard]).toEqual([true, true, ["child", "parent"]]);
    expect(() => parent.revoke()).not.toThrow();
  });

  test("ends with the one it was made from, and not the other way round", () => {
    const parent = makeRevoker();
    const [child, sibling] = [makeRevoker(parent), makeRevoker(parent)];
    const grandchild = makeRevoker(child);
    const heard: string[] = [];
    grandchild.onRevoked(() => heard.push("grandchild"));
    sibling.onRevoked(() => heard.push("sibling"));
    child.revoke();
    expect([parent, child, sibling, grandchild].map(({ isRevoked }) => isRevoked)).toEqual([false, true, false, true]);
    expect(heard).toEqual(["grandchild"]);
    parent.revoke();
    child.revoke();
    expect([sibling.isRevoked, heard]).toEqual([true, ["grandchild", "sibling"]]);
  });

  test("ends its child before anybody hears of it, and tells the child's listeners once", () => {
    const parent = makeRevoker();
    const child = makeRevoker(parent);
    const heard: string[] = [];
    parent.onRevoked(() => {
      heard.push(`parent, child ${child.isRevoked}`);
      child.onRevoked(() => heard.push("at once"));
      child.revoke();
    });
    child.onRevoked(() => heard.push("child"));
    parent.revoke();
    expect(heard).toEqual(["parent, child true", "at once", "child"]);
  });

  test("remembers no child that nobody listens to", () => {
    let listening = 0;
    const parent = {
      isRevoked: false,
      onRevoked: () => {
        listening += 1;
        return () => {
          listening -= 1;
        };
      },
    };
    const child = makeRevoker(parent);
    expect(listening).toBe(0);
    const cancels = [child.onRevoked(() => {}), child.onRevoked(() => {})];
    expect(listening).toBe(1);
    for (const cancel of cancels) cancel();
    expect(listening).toBe(0);
    child.onRevoked(() => {});
    child.revoke();
    expect(listening).toBe(0);
  });
});

describe("what hangs on a revoker", () => {
  test("begins no call once it is revoked, and says so before anything about the arguments", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const revoker = makeRevoker();
    expect(revocable(main.implementation, revoker)).toBe(main.implementation);
    expect(await finish(main, bench.main.greet("kim"))).toBe("hello kim");
    revoker.revoke();
    await expect(finish(main, bench.main.greet("kim"))).rejects.toMatchObject(revoked);
    await expect(finish(main, bench.main.greet(7 as unknown as string))).rejects.toMatchObject(revoked);
    expect(seen.ran).toBe(1);
  });

  test("lets a call in flight complete", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const revoker = makeRevoker();
    revocable(main.implementation, revoker);
    const inFlight = finish(main, bench.main.wait(500));
    await bench.clock.advance(100);
    revoker.revoke();
    const next = finish(main, bench.main.wait(500));
    expect(await inFlight).toBe("waited 500");
    await expect(next).rejects.toMatchObject(revoked);
    expect(seen.ran).toBe(1);
  });

  test("begins no call that waited for its turn when it was revoked", async () => {
    const clock = makeVirtualClock();
    const revoker = makeRevoker();
    const implementation = revocable(new MainImpl(), revoker);
    implementation.after = (ms) => new Promise((resolve) => clock.after(ms, resolve));
    seen.ran = 0;
    const link = makeTestLink({
      clock,
      from: anonymous,
      env: { turns: makeTurns({ ...edgeLimits, turnsPerSessionMax: 1 }, clock).join() },
      to: { name: "to", instance: "j".repeat(16), main: expose(MainContract, implementation, { peer: anonymous }) },
    });
    const main = link.main as unknown as RpcStub<RpcTarget & Pick<MainImpl, "wait">>;
    const [running, waiting] = [main.wait(100), main.wait(100)].map((call) => call.then((it) => it));
    waiting!.catch(() => {});
    await clock.settle();
    revoker.revoke();
    expect(await clock.run(running!)).toBe("waited 100");
    await expect(clock.run(waiting!)).rejects.toMatchObject(revoked);
    expect(seen.ran).toBe(1);
    link.cut();
  });

  test("is cut at every boundary, also at one that is made later", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const revoker = makeRevoker();
    const env = { peer: anonymous, clock: bench.clock };
    using before = new RpcStub(expose(MainContract, main.implementation, env));
    revocable(main.implementation, revoker).greet("kim");
    const other = makeTestLink({
      clock: bench.clock,
      from: anonymous,
      to: { name: "to", instance: "j".repeat(16), main: expose(MainContract, main.implementation, env) },
    });
    revoker.revoke();
    using after = new RpcStub(expose(MainContract, main.implementation, env));
    for (const local of [before, after] as unknown as MainImpl[]) {
      await expect(Promise.resolve(local.greet("kim"))).rejects.toMatchObject(revoked);
    }
    const remote = other.main as unknown as typeof bench.main;
    await expect(finish(main, remote.greet("kim"))).rejects.toMatchObject(revoked);
    await expect(finish(main, bench.main.greet("kim"))).rejects.toMatchObject(revoked);
    expect(seen.ran).toBe(1);
    other.cut();
  });

  test("is still disposed when its last holder lets go", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const revoker = makeRevoker();
    using shared = await finish(main, bench.main.shared());
    revocable(seen.children[0]!, revoker);
    revoker.revoke();
    await expect(finish(main, shared.name())).rejects.toMatchObject(revoked);
    shared[Symbol.dispose]();
    await bench.clock.advance(10);
    expect(seen.children[0]?.disposals).toBe(1);
  });

  test("may hang on several, and end by itself too: the first end counts", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const [first, second] = [makeRevoker(), makeRevoker()];
    const startMs = bench.clock.now();
    revocable(revocable(main.implementation, first), second);
    expiring(expiring(main.implementation, startMs + 1_000), startMs + 2_000);
    expect(await finish(main, bench.main.greet("kim"))).toBe("hello kim");
    await bench.clock.advance(1_000);
    await expect(finish(main, bench.main.greet("kim"))).rejects.toMatchObject({ reason: "expired" });
    second.revoke();
    await expect(finish(main, bench.main.greet("kim"))).rejects.toMatchObject(revoked);
  });

  test("is an object of this process, not a stub: a mark on a stub would bind nobody", () => {
    using stub = new RpcStub(new (class extends RpcTarget {})());
    expect(() => revocable(stub, makeRevoker())).toThrow(TypeError);
    expect(() => expiring(stub, 5)).toThrow(TypeError);
    expect(() => expiring(new MainImpl(), Number.NaN)).toThrow(TypeError);
  });
});
