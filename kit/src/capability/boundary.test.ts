import { Type } from "typebox";
import { beforeEach, describe, expect, test } from "vitest";
import { currentContext, withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { edgeLimits } from "../base/limits.ts";
import { anonymous } from "../base/peer.ts";
import { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { expose } from "./boundary.ts";
import { arg, callback, contract } from "./contract.ts";
import { expiring } from "./expiry.ts";
import { codeOf, makeBench, makeRawBench } from "./fixtures/bench.ts";
import { type ChildImpl, finish, type Listener, MainContract, MainImpl, makeMain, seen } from "./fixtures/main.ts";

beforeEach(() => {
  seen.ran = 0;
});

describe("a method that the contract does not list", () => {
  const names = [
    ...["unlisted", "inherited", "getter", "field", "#secret", "secret", "after", "give"],
    ...["constructor", "__proto__", "prototype", "toString", "valueOf", "hasOwnProperty", "__defineGetter__"],
    ...[
      "then",
      "catch",
      "finally",
      "dup",
      "map",
      "onRpcBroken",
      "toJSON",
      "Symbol(Symbol.dispose)",
      "deposit",
      "",
      "0",
    ],
  ];

  test.each(names)("cannot be called: %j", async (name) => {
    const { ask } = makeRawBench(MainContract, new MainImpl());
    expect(codeOf(await ask(`["pipeline",0,[${JSON.stringify(name)}],[]]`))).toBe("unimplemented");
    expect(seen.ran).toBe(0);
  });

  test.each(names)("cannot be read: %j", async (name) => {
    const { ask, session } = makeRawBench(MainContract, new MainImpl());
    const [operation, , value] = await ask(`["pipeline",0,[${JSON.stringify(name)}]]`);
    expect(operation === "reject" || JSON.stringify(value) === '["undefined"]').toBe(true);
    expect(session.stats()).toEqual({ imports: 1, exports: 2 });
    expect(seen.ran).toBe(0);
  });

  test.each(["name", "length", "prototype", "call", "apply", "bind", "constructor", "caller", "arguments"])(
    "has nothing under a method that is listed: greet.%s",
    async (name) => {
      const { ask } = makeRawBench(MainContract, new MainImpl());
      expect(codeOf(await ask(`["pipeline",0,["greet","${name}"],["bob"]]`))).toBe("unimplemented");
      expect(codeOf(await ask(`["pipeline",0,["greet","${name}"]]`))).toBe("unimplemented");
      expect(seen.ran).toBe(0);
    },
  );

  test("is not reached by taking a listed method off its object", async () => {
    const { ask, faults } = makeRawBench(MainContract, new MainImpl());
    const taken = await ask('["pipeline",0,["greet"]]');
    expect(codeOf(taken)).toBe("unimplemented");
    expect(codeOf(await ask(`["pipeline",${taken[1]},[],["bob"]]`))).toBe("unimplemented");
    expect([seen.ran, faults]).toEqual([0, []]);
  });

  test("is not reached on a capability that a method returns either", async () => {
    const main = makeMain();
    await using _ = main.bench;
    using child = (await finish(main, main.bench.main.child("kim"))) as unknown as RpcStub<ChildImpl & RpcTarget>;
    await expect(finish(main, child.secret())).rejects.toMatchObject({ code: "unimplemented" });
    expect(await finish(main, child.name())).toBe("kim");
    expect(seen.ran).toBe(0);
  });
});

describe("a callback", () => {
  class ListenerTarget extends RpcTarget {
    hear(text: string) {
      return `heard ${text}`;
    }
  }
  interface Host extends RpcTarget {
    listener(): Listener;
    keep(listener: RpcStub<Listener>): Promise<string>;
    tellKept(): Promise<string>;
  }
  const HostContract = contract<Host>("Host", {
    listener: {
      params: [],
      returns: contract<Listener>("Listener", { hear: { params: [arg("text", Type.String())] } }),
    },
    keep: { params: [callback<Listener>("listener")] },
    tellKept: { params: [] },
  });
  class HostImpl extends MainImpl {
    listener() {
      return { hear: (text: string) => `home heard ${text}` };
    }
  }

  test("is borrowed for the call, and lives on where it is kept", async () => {
    const main = makeMain();
    await using _ = main.bench;
    expect(await finish(main, main.bench.main.keep(new ListenerTarget() as unknown as RpcStub<Listener>))).toBe(
      "heard now",
    );
    expect(await finish(main, main.bench.main.tellKept())).toBe("heard later");
  });

  test("works when it is a capability of our own that came home", async () => {
    await using bench = makeBench(HostContract, new HostImpl());
    using listener = await bench.clock.run(bench.main.listener());
    expect(await bench.clock.run(bench.main.keep(listener as unknown as RpcStub<Listener>))).toBe("home heard now");
    expect(await bench.clock.run(bench.main.tellKept())).toBe("home heard later");
    using promised = bench.main.listener();
    const call = bench.main.keep(promised as unknown as RpcStub<Listener>);
    expect(await bench.clock.run(call)).toBe("home heard now");
    expect(await bench.clock.run(bench.main.tellKept())).toBe("home heard later");
  });

  test("that fails fails as a callback, whatever it says", async () => {
    class Liar extends RpcTarget {
      hear(): never {
        throw new FlotillaError("unauthenticated", "Log in again", { reason: "expired", retryable: true });
      }
    }
    const main = makeMain();
    await using bench = main.bench;
    const call = bench.main.keep(new Liar() as unknown as RpcStub<Listener>);
    await expect(finish(main, call)).rejects.toMatchObject({
      code: "failed_precondition",
      message: "The callback failed",
      reason: "callback_failed",
      retryable: false,
    });
    await expect(finish(main, bench.main.tellKept())).rejects.toMatchObject({ reason: "callback_failed" });
  });

  test.each([
    ["data", { hear: "now" }],
    ["text", "listener"],
    ["nothing", undefined],
    ["a list of callbacks", [() => "now"]],
  ])("is refused when it is %s", async (_, value) => {
    const main = makeMain();
    await using bench = main.bench;
    const call = bench.main.keep(value as unknown as RpcStub<Listener>);
    await expect(finish(main, call)).rejects.toMatchObject({ code: "invalid_argument", message: /^listener/ });
  });
});

describe("a capability that a method returns", () => {
  const disposals = () => seen.children.filter((child) => child.name() !== "shared").map((child) => child.disposals);

  test("is disposed once, when its last holder lets go of it", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const child = await finish(main, bench.main.child("kim"));
    const second = child.dup();
    child[Symbol.dispose]();
    await bench.clock.advance(10);
    expect(disposals()).toEqual([0]);
    second[Symbol.dispose]();
    await bench.clock.advance(10);
    expect(disposals()).toEqual([1]);
  });

  test("is disposed once although it was returned, and is held, many times", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const shared = await finish(main, Promise.all([bench.main.shared(), bench.main.shared(), bench.main.shared()]));
    for (const [index, stub] of shared.entries()) {
      expect(seen.children[0]?.disposals).toBe(0);
      expect(await finish(main, stub.name())).toBe("shared");
      stub[Symbol.dispose]();
      await bench.clock.advance(10);
      expect(seen.children[0]?.disposals).toBe(index < 2 ? 0 : 1);
    }
  });

  test("is disposed when the session is cut", async () => {
    const main = makeMain();
    await finish(main, main.bench.main.child("kim"));
    main.bench.link.cut();
    await main.bench.clock.settle();
    expect(disposals()).toEqual([1]);
  });

  test("is disposed when it comes too late for anybody to receive it", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const call = withContext({ timeoutMs: 100 }, () => bench.main.childAfter(500), bench.clock);
    await expect(finish(main, call)).rejects.toMatchObject({ code: "deadline_exceeded" });
    await bench.clock.advance(500);
    expect(disposals()).toEqual([1]);
  });

  test("stays when it comes too late for one and somebody else holds it", async () => {
    const main = makeMain();
    await using bench = main.bench;
    using shared = await finish(main, bench.main.shared());
    const call = withContext({ timeoutMs: 100 }, () => bench.main.sharedAfter(500), bench.clock);
    await expect(finish(main, call)).rejects.toMatchObject({ code: "deadline_exceeded" });
    await bench.clock.advance(500);
    expect(seen.children[0]?.disposals).toBe(0);
    expect(await finish(main, shared.name())).toBe("shared");
  });

  test("whose disposer throws is reported here, and ends neither the session nor the process", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const child = await finish(main, bench.main.child("kim"));
    const fault = new Error("s3cret");
    seen.children[1]![Symbol.dispose] = () => {
      throw fault;
    };
    child[Symbol.dispose]();
    await bench.clock.advance(10);
    expect(bench.faults).toEqual([fault]);
    expect(await finish(main, bench.main.greet("kim"))).toBe("hello kim");
  });
});

describe("the deadline of a call", () => {
  const line = (ms: number) => JSON.stringify({ tp: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, ms, via: [] });

  function makeRaw() {
    const implementation = new MainImpl();
    const raw = makeRawBench(MainContract, implementation);
    implementation.after = (ms) => new Promise((resolve) => raw.clock.after(ms, resolve));
    return raw;
  }

  test("that is over before the call arrives starts no work", async () => {
    const { ask } = makeRaw();
    expect(codeOf(await ask('["pipeline",0,["greet"],["bob"]]', line(0)))).toBe("deadline_exceeded");
    expect(seen.ran).toBe(0);
  });

  test("ends a method that hangs, and the error quotes the request", async () => {
    const { ask, clock } = makeRaw();
    const answer = await ask('["pipeline",0,["wait"],[5000]]', line(100));
    expect(codeOf(answer)).toBe("deadline_exceeded");
    expect(JSON.stringify(answer)).toContain("a".repeat(32));
    expect(clock.monotonicMs()).toBe(102);
  });

  test("is ten seconds for a peer that says none", async () => {
    const { ask, clock } = makeRaw();
    expect(codeOf(await ask('["pipeline",0,["wait"],[60000]]'))).toBe("deadline_exceeded");
    expect(clock.monotonicMs()).toBe(10_002);
    expect(seen.ran).toBe(1);
  });

  test("takes nothing from a method that is in time", async () => {
    const { ask } = makeRaw();
    expect((await ask('["pipeline",0,["wait"],[99]]', line(100)))[2]).toBe("waited 99");
  });
});

test("calls that were released still count while they run, and make room when they end", async () => {
  const implementation = new MainImpl();
  const { session, clock, ask, abandon } = makeRawBench(MainContract, implementation);
  const finish: (() => void)[] = [];
  implementation.after = () => new Promise((resolve) => finish.push(() => resolve()));
  for (let i = 1; i <= edgeLimits.runningCallsMax; i += 1) {
    abandon('["pipeline",0,["wait"],[5000]]');
  }
  await clock.advance(1);
  expect(session.stats()).toEqual({ imports: 1, exports: 1 });
  const refused = await ask('["pipeline",0,["wait"],[5000]]');
  expect(codeOf(refused)).toBe("resource_exhausted");
  for (const end of finish) end();
  await clock.settle();
  expect((await ask('["pipeline",0,["greet"],["bob"]]'))[2]).toBe("hello bob");
});

describe("a capability that ends by itself", () => {
  test("is refused from its end on, and starts no work", async () => {
    const main = makeMain();
    await using bench = main.bench;
    expiring(main.implementation, bench.clock.now() + 1_000);
    await bench.clock.advance(998);
    expect(await finish(main, bench.main.greet("kim"))).toBe("hello kim");
    const refused = { code: "permission_denied", reason: "expired" };
    await expect(finish(main, bench.main.greet("kim"))).rejects.toMatchObject(refused);
    expect(seen.ran).toBe(1);
  });
});

describe("the context", () => {
  test("is each call's own, however they overlap", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const ids = Array.from({ length: 30 }, (_, index) => index.toString(16).padStart(32, "c"));
    const calls = ids.map((traceId, index) =>
      withContext({ traceId }, () => bench.main.trace((index * 7) % 11), bench.clock),
    );
    expect(await finish(main, Promise.all(calls))).toEqual(ids);
  });

  test("is made for a call from this process, with the same rules", async () => {
    using stub = new RpcStub(expose(MainContract, new MainImpl(), { peer: anonymous }));
    const main = stub as unknown as Record<"greet" | "unlisted", (name: unknown) => Promise<string>>;
    expect(await main.greet("kim")).toBe("hello kim");
    await expect(Promise.resolve(main.greet(7))).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(Promise.resolve(main.unlisted("kim"))).rejects.toMatchObject({ code: "unimplemented" });
    expect(currentContext()).toBeUndefined();
  });
});
