import { describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
import { ChildImpl, finish, makeMain } from "./fixtures/main.ts";

describe("a result that should be data", () => {
  class Instance {
    readonly secret = "s3cret";
  }
  const results: Record<string, () => unknown> = {
    "a function": () => () => "s3cret",
    "a function deep inside": () => ({ a: [{ b: () => "s3cret" }] }),
    "a target": () => new (class extends RpcTarget {})(),
    "a stub": () => new RpcStub(new (class extends RpcTarget {})()),
    "an instance of a class": () => new Instance(),
    "an implementation": () => ({ list: [new ChildImpl("x")] }),
    "a map": () => new Map([["a", 1]]),
    "an error": () => new Error("s3cret"),
    "a symbol": () => Symbol("s3cret"),
    "a promise of a promise's target": () => Promise.resolve(new (class extends RpcTarget {})()),
    "a promise inside": () => ({ later: Promise.resolve("s3cret") }),
    "a remote promise inside": () => ({ later: new RpcPromise(Promise.resolve("s3cret") as never) }),
    // biome-ignore lint/suspicious/noThenProperty: it is what is tried.
    "an object that calls itself a promise": () => ({ then: (call: () => void) => call() }),
    "data nested deeper than anybody's": () => {
      let value: unknown = "s3cret";
      for (let level = 0; level < 70; level += 1) value = [value];
      return value;
    },
    "data that never ends": () => {
      const loop: unknown[] = [];
      loop.push(loop);
      return loop;
    },
  };

  test.each(Object.keys(results))("and is %s is `internal`, and nothing of it leaves", async (name) => {
    const main = makeMain();
    await using bench = main.bench;
    main.implementation.give = results[name]!;
    await expect(finish(main, bench.main.result())).rejects.toMatchObject({
      code: "internal",
      message: "Internal error",
    });
    expect(bench.link.messages.join("")).not.toMatch(/s3cret|"export"/);
    expect(bench.faults).toHaveLength(1);
  });

  test("and is data of every kind leaves as it is", async () => {
    const main = makeMain();
    await using bench = main.bench;
    const row = Object.assign(Object.create(null), { id: 1 });
    const data = { row, a: [1, null, { b: "c" }], d: new Date(5), u: undefined, n: Number.NaN, big: 10n };
    main.implementation.give = () => data;
    expect(await finish(main, bench.main.result())).toEqual(data);
  });

  test("where a capability is declared is `internal`", async () => {
    const main = makeMain();
    await using bench = main.bench;
    main.implementation.child = () => "kim" as unknown as ChildImpl;
    await expect(finish(main, bench.main.child("kim"))).rejects.toMatchObject({ code: "internal" });
  });
});

describe("what a method throws", () => {
  const secretive = Object.assign(new Error("connect ECONNREFUSED s3cret", { cause: new Error("s3cret") }), {
    code: "ECONNREFUSED",
    address: "s3cret",
    retryable: true,
  });
  const thrown: Record<string, unknown> = {
    "a string": "s3cret",
    "an object": { code: "not_found", message: "s3cret", retryable: false },
    nothing: undefined,
    null: null,
    "a function": () => "s3cret",
    "an error of a driver": secretive,
    "an error of several": new AggregateError([secretive], "s3cret"),
    "an error that throws when it is looked at": Object.defineProperty(new Error("s3cret"), "code", {
      get() {
        throw new Error("s3cret");
      },
    }),
  };
  const ways: Record<string, (error: unknown) => () => unknown> = {
    thrown: (error) => () => {
      throw error;
    },
    rejected: (error) => () => Promise.reject(error),
  };
  const cases = Object.keys(thrown).flatMap((what) => Object.keys(ways).map((way) => [what, way] as const));

  test.each(cases)("%s, %s, is `internal` outside, and itself only in the log", async (what, way) => {
    const main = makeMain();
    await using bench = main.bench;
    main.implementation.give = ways[way]!(thrown[what]);
    await expect(finish(main, bench.main.result())).rejects.toMatchObject({
      code: "internal",
      message: "Internal error",
      requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(bench.link.frames.join("")).not.toContain("s3cret");
    expect(bench.faults).toHaveLength(1);
    if (thrown[what]) expect(bench.faults[0]).toBe(thrown[what]);
  });

  test("leaves with its code when it is one of ours, without its cause and its stack", async () => {
    const main = makeMain();
    await using bench = main.bench;
    main.implementation.give = () => {
      throw new FlotillaError("aborted", "Try again", { reason: "lost", cause: secretive });
    };
    await expect(finish(main, bench.main.result())).rejects.toMatchObject({ code: "aborted", reason: "lost" });
    expect(bench.link.frames.join("")).not.toMatch(/s3cret|cause|\.ts:/);
    expect(bench.faults).toEqual([]);
  });

  test("includes that it is not there at all", async () => {
    const main = makeMain();
    await using bench = main.bench;
    Object.assign(main.implementation, { greet: undefined });
    await expect(finish(main, bench.main.greet("kim"))).rejects.toMatchObject({ code: "internal" });
  });
});
