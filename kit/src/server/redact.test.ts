import { newHttpBatchRpcSession, newWebSocketRpcSession, RpcTarget as StockTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { FlotillaError } from "../base/errors.ts";
import { type RpcStub, RpcTarget } from "../rpc/stub.ts";
import { ask } from "../testing/http.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import type { Server } from "./serve.ts";

const canary = "canary-5f3a";

const requestId = expect.stringMatching(/^[0-9a-f]{32}$/);

/** Errors as code throws them; each carries the canary wherever there is room for it. */
const errors: Record<string, () => unknown> = {
  "an Error": () => new Error(canary),
  "an error of a driver": () =>
    Object.assign(new Error(`connect ECONNREFUSED ${canary}`), {
      code: "ECONNREFUSED",
      address: canary,
      path: `/etc/${canary}`,
      detail: { canary },
    }),
  "an error with a cause": () => new Error(canary, { cause: new Error(canary, { cause: { canary } }) }),
  "an AggregateError": () => new AggregateError([new Error(canary), canary], canary),
  "an error of ours with a cause": () =>
    new FlotillaError("not_found", "No such thing", { cause: new Error(canary), reason: "gone" }),
  "an error of ours with more properties": () =>
    Object.assign(new FlotillaError("not_found", "No such thing", { reason: "gone" }), { canary, details: [canary] }),
  "an error with a code of ours, but none of ours": () => Object.assign(new Error(canary), { code: "not_found" }),
  "an error with a hostile code": () =>
    Object.assign(new Error(canary), { code: { toString: () => "not_found", canary }, retryable: true }),
  "an error whose code is __proto__": () => Object.assign(new Error(canary), { code: "__proto__", retryable: true }),
  "an error whose getters throw": () =>
    Object.defineProperties(new Error(canary), {
      code: {
        enumerable: true,
        get() {
          throw new Error(canary);
        },
      },
      message: {
        get() {
          throw new Error(canary);
        },
      },
    }),
  "an error that says something else each time": () => {
    let asked = 0;
    return Object.defineProperties(new Error(canary), {
      code: { get: () => (asked++ % 2 === 0 ? "not_found" : canary) },
      retryable: { value: true },
    });
  },
  "an error that is a Proxy": () =>
    new Proxy(new Error(canary), {
      get(target, key) {
        if (key === "code") throw new Error(canary);
        return Reflect.get(target, key);
      },
    }),
  "a DOMException": () => new DOMException(canary, "AbortError"),
  "a class of its own": () =>
    new (class Leaky extends TypeError {
      readonly secret = canary;
      override readonly name = canary;
    })(canary),
};

const noErrors: Record<string, () => unknown> = {
  "a string": () => canary,
  "an object": () => ({ canary, list: [canary] }),
  "an object that looks like an error on the wire": () => ["error", "not_found", canary],
  null: () => null,
  undefined: () => undefined,
  "a number": () => 4242,
  "an object with a capability": () => ({ canary, target: new RpcTarget() }),
};

/** A target without a boundary: what a session must hold by itself. */
class Leaks extends RpcTarget {
  throws(what: string) {
    throw { ...errors, ...noErrors }[what]?.();
  }
  async rejects(what: string) {
    throw { ...errors, ...noErrors }[what]?.();
  }
  returns(what: string) {
    return errors[what]?.();
  }
  nests(what: string) {
    return { list: [{ error: errors[what]?.() }] };
  }
  async tells(what: string, listener: RpcStub<Listener>) {
    return await listener.hear(errors[what]?.());
  }
  unserialisable() {
    return { value: Symbol(canary) };
  }
}
class Listener extends RpcTarget {
  hear(_error: unknown) {
    return "heard";
  }
}
class StockListener extends StockTarget {
  hear(_error: unknown) {
    return "heard";
  }
}

interface Bench extends AsyncDisposable {
  readonly rig: Rig;
  readonly server: Server;
  readonly frames: string[];
  readonly hidden: FlotillaError[];
}

async function setUp(): Promise<Bench> {
  const rig = makeRig();
  const frames: string[] = [];
  const hidden: FlotillaError[] = [];
  const server = await rig.serve({
    main: () => new Leaks(),
    onHiddenError: (error) => hidden.push(error),
    onFrame: (_peer, direction, frame) => direction === "out" && frames.push(frame),
  });
  return {
    rig,
    server,
    frames,
    hidden,
    async [Symbol.asyncDispose]() {
      await rig[Symbol.asyncDispose]();
      // Trace ids are random, and contain any digits.
      const sent = frames.map((frame) => frame.replace(/[0-9a-f]{32}(-[0-9a-f]{16})?/g, ""));
      expect(sent.filter((frame) => /canary|4242|redact\.test|node_modules/.test(frame))).toEqual([]);
    },
  };
}

type Way = (bench: Bench) => {
  readonly leaks: RpcStub<Leaks>;
  readonly listener: RpcStub<Listener>;
  readonly end: () => void;
};
const ways: Record<string, Way> = {
  "our session": ({ rig, server }) => {
    const connection = rig.connect<Leaks>({ url: server.url });
    return { leaks: connection.main, listener: new Listener() as never, end: () => {} };
  },
  "a stock session": ({ server }) => {
    const leaks = newWebSocketRpcSession<Leaks>(`${server.url.replace("http", "ws")}/rpc`);
    const listener = new StockListener() as never;
    return { leaks: leaks as unknown as RpcStub<Leaks>, listener, end: () => leaks[Symbol.dispose]() };
  },
};

for (const [over, open] of Object.entries(ways)) {
  describe(`over ${over}`, () => {
    for (const what of Object.keys(errors)) {
      test(`${what} leaves as its code and nothing else, however it is sent`, async () => {
        await using bench = await setUp();
        const { leaks, listener, end } = open(bench);
        const fields = expect.objectContaining(
          what.startsWith("an error of ours")
            ? { code: "not_found", message: "No such thing", reason: "gone", retryable: false }
            : { code: "internal", message: "Internal error", retryable: false },
        );
        await expect(outcome(leaks.throws(what))).rejects.toEqual(fields);
        await expect(outcome(leaks.rejects(what))).rejects.toEqual(fields);
        expect(await leaks.returns(what)).toEqual(fields);
        expect(await leaks.nests(what)).toEqual({ list: [{ error: fields }] });
        expect(await leaks.tells(what, listener)).toBe("heard");
        const allowed = ["code", "message", "name", "reason", "requestId", "retryable", "retryAfterMs", "stack"];
        const sent = (await leaks.returns(what)) as unknown as Error;
        expect(Object.getOwnPropertyNames(sent).filter((name) => !allowed.includes(name))).toEqual([]);
        expect(bench.frames.join("\n")).toContain(what.startsWith("an error of ours") ? '"not_found"' : '"internal"');
        end();
      });
    }

    for (const what of Object.keys(noErrors)) {
      test(`${what} that is thrown leaves as internal, and the log hears of it`, async () => {
        await using bench = await setUp();
        const { leaks, end } = open(bench);
        const fields = { code: "internal", message: "Internal error" };
        await expect(outcome(leaks.throws(what))).rejects.toMatchObject(fields);
        await expect(outcome(leaks.rejects(what))).rejects.toMatchObject(fields);
        expect(bench.hidden).toHaveLength(2);
        end();
      });
    }

    test("a result that cannot be sent is internal", async () => {
      await using bench = await setUp();
      const { leaks, end } = open(bench);
      await expect(outcome(leaks.unserialisable())).rejects.toMatchObject({
        code: "internal",
        message: "Internal error",
      });
      expect(bench.hidden[0]?.cause).toMatchObject({
        message: expect.stringContaining("a symbol where data belongs (.value)"),
      });
      end();
    });

    test("what was not granted is unimplemented, and the method is named as far as that does no harm", async () => {
      await using bench = await setUp();
      const { leaks, end } = open(bench);
      const wild = leaks as unknown as Record<string, (...args: unknown[]) => Promise<unknown>> & {
        deep: { two: { three: () => Promise<unknown> } };
      };
      const named = (name: string) => ({ code: "unimplemented", message: `No such method: ${name}`, requestId });
      await expect(outcome(wild.wanted!("canary"))).rejects.toMatchObject(named("wanted"));
      await expect(outcome(wild["Symbol(it)"]!())).rejects.toMatchObject(named("Symbol(it)"));
      await expect(outcome(wild[`${"n".repeat(64)}canary`]!())).rejects.toMatchObject(named("n".repeat(64)));
      await expect(outcome(wild["\u001b[2J\nü\u202e💥"]!())).rejects.toMatchObject(named("?[2J?????"));
      await expect(outcome(wild.deep.two.three())).rejects.toMatchObject(named("deep.two.three"));
      end();
    });

    test("every error has the requestId of the call that it answers, also one that stands in a result", async () => {
      await using bench = await setUp();
      const { leaks, listener, end } = open(bench);
      const calls = ["an Error", "an error of ours with a cause", "an object"].flatMap((what) => [
        outcome(leaks.throws(what)),
        outcome(leaks.rejects(what)),
        outcome(leaks.returns(what)),
        outcome(leaks.nests(what)),
        outcome(leaks.tells(what, listener)),
      ]);
      calls.push(outcome(leaks.unserialisable()));
      await Promise.allSettled(calls);
      const errors = bench.frames.join("\n").match(/\["error",.*?\]/g) ?? [];
      expect(errors).toHaveLength(13);
      for (const error of errors) expect(error).toMatch(/"requestId":"[0-9a-f]{32}"/);
      end();
    });
  });
}

test("over HTTP batch, no error leaves but as its code", async () => {
  await using bench = await setUp();
  for (const what of Object.keys(errors)) {
    const code = what.startsWith("an error of ours") ? "not_found" : "internal";
    await expect(outcome(batch(bench).throws(what))).rejects.toMatchObject({ code });
    expect(await batch(bench).nests(what)).toMatchObject({ list: [{ error: { code } }] });
    const body = [
      ["push", ["pipeline", 0, ["nests"], [what]]],
      ["pull", 1],
      ["push", ["pipeline", 0, ["rejects"], [what]]],
      ["pull", 2],
    ];
    bench.frames.push(
      (await ask(`${bench.server.url}/rpc/batch`, { body: body.map((line) => JSON.stringify(line)).join("\n") })).text,
    );
  }
  for (const what of Object.keys(noErrors)) {
    await expect(outcome(batch(bench).throws(what))).rejects.toMatchObject({ code: "internal" });
  }
});

function batch({ server }: Bench): RpcStub<Leaks> {
  return newHttpBatchRpcSession<Leaks>(`${server.url}/rpc/batch`) as unknown as RpcStub<Leaks>;
}

describe("what a client sends", () => {
  test("is not echoed when it ends the session, which closes with 1008", async () => {
    await using bench = await setUp();
    const endings = [
      "canary",
      '["canary"]',
      '["push"]',
      '["push",["canary",1]]',
      '["push",["error",1,"canary"]]',
      '["push",["pipeline",0,"canary"]]',
      '["push",["pipeline",77,["canary"],["canary"]]]',
      '["push",["import",77]]',
      '["push",["bigint","canary"]]',
      '["push",["bytes",{"canary":1}]]',
      '["pull",77]',
      '["pull","canary"]',
      '["release",77,1]',
      '["release",0,2]',
      '["resolve",1]',
      '["reject",1,["error",2,"canary"]]',
    ];
    for (const frame of endings) {
      const { code, received } = await talk(bench.server, [frame]);
      expect([frame, code]).toEqual([frame, 1008]);
      for (const text of received)
        expect(JSON.parse(text).flat().slice(0, 3)).toEqual(["abort", "error", "invalid_argument"]);
    }
  });

  test("as an abort is not answered", async () => {
    await using bench = await setUp();
    const { received } = await talk(bench.server, ['["abort",["error","Error","canary"]]']);
    expect(received).toEqual([]);
  });
});

/** Says `frames` as a stock peer, and hears all until the server closes. */
function talk(server: Server, frames: readonly string[]): Promise<{ code: number; received: string[] }> {
  return new Promise((resolve, reject) => {
    const received: string[] = [];
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/rpc`);
    socket.on("open", () => {
      for (const frame of frames) socket.send(frame);
    });
    socket.on("message", (data) => received.push(String(data)));
    socket.on("close", (code) => resolve({ code, received }));
    socket.on("error", reject);
  });
}

test("errors that we send as arguments leave as their codes too", async () => {
  await using rig = makeRig();
  const heard = Promise.withResolvers<unknown>();
  class Ear extends RpcTarget {
    hear(error: unknown) {
      heard.resolve(error);
    }
  }
  const frames: string[] = [];
  const server = await rig.serve({ main: () => new Ear() });
  const connection = rig.connect<Ear>({
    url: server.url,
    onFrame: (direction, frame) => direction === "out" && frames.push(frame),
  });
  await connection.main.hear({ list: [errors["an error of a driver"]?.(), errors["an error with a cause"]?.()] });
  await expect(heard.promise).resolves.toMatchObject({ list: [{ code: "internal" }, { code: "internal" }] });
  expect(frames.join("\n")).not.toContain(canary);
});

test("a call that is let go before its answer is no fault of ours, and is not answered", async () => {
  await using rig = makeRig();
  const ready = Promise.withResolvers<RpcTarget>();
  class Slow extends RpcTarget {
    later() {
      return ready.promise;
    }
    sooner() {
      return "answered";
    }
  }
  let disposed = 0;
  class Late extends RpcTarget {
    [Symbol.dispose]() {
      disposed += 1;
    }
  }
  const hidden: FlotillaError[] = [];
  const server = await rig.serve({ main: () => new Slow(), onHiddenError: (error) => hidden.push(error) });
  const { socket } = await openRawSocket(rig, server.url);
  const answered = Promise.withResolvers<string>();
  socket.on("message", (data) => answered.resolve(String(data)));
  for (const message of ['["push",["pipeline",0,["later"],[]]]', '["pull",1]', '["release",1,1]']) socket.send(message);
  socket.send('["push",["pipeline",0,["sooner"],[]]]');
  await until(() => server.stats().exports === 2, "the second call alone in the table");
  ready.resolve(new Late());
  await until(() => disposed === 1, "what nobody waits for disposed");
  socket.send('["pull",2]');
  expect(JSON.parse(await answered.promise)).toEqual(["resolve", 2, "answered"]);
  socket.send('["release",2,1]');
  expect(hidden).toEqual([]);
});

test("a log that throws changes nothing of what leaves", async () => {
  await using rig = makeRig();
  const server = await rig.serve({
    main: () => new Leaks(),
    onHiddenError() {
      throw new Error(canary);
    },
  });
  const { main } = rig.connect<Leaks>({ url: server.url });
  for (const what of ["an Error", "a string"]) {
    await expect(outcome(main.throws(what))).rejects.toMatchObject({ code: "internal", message: "Internal error" });
  }
  expect(await main.returns("an error of ours with a cause")).toMatchObject({ code: "not_found" });
});
