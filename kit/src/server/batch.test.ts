import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { describe, expect, test } from "vitest";
import { stockVersions } from "../../../tests/stock-versions.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { batchBytesMax, batchCallsMax, edgeLimits } from "../base/limits.ts";
import { RpcTarget } from "../rpc/stub.ts";
import { type Desk, makeDesk, type TestDesk } from "../testing/desk.ts";
import { ask, type Sent, sendRaw } from "../testing/http.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import type { Server } from "./serve.ts";

interface Bench extends AsyncDisposable {
  readonly rig: Rig;
  readonly desk: TestDesk;
  readonly server: Server;
  readonly url: string;
  send(body: string | readonly string[], sent?: Omit<Sent, "body">): ReturnType<typeof ask>;
}

/** A desk behind HTTP batch. Disposing it asserts, beside what the rig asserts, that no object of the desk is alive. */
async function setUp({ main, clock = systemClock }: { main?: () => RpcTarget; clock?: Clock } = {}): Promise<Bench> {
  const rig = makeRig();
  const desk = makeDesk(clock);
  const server = await rig.serve({ main: main ?? desk.mainFor, clock });
  const url = `${server.url}/rpc/batch`;
  return {
    rig,
    desk,
    server,
    url,
    send: (body, sent = {}) => ask(url, { ...sent, body }),
    async [Symbol.asyncDispose]() {
      await until(
        () => desk.live() === 0,
        () => `no object alive: ${desk.live()}`,
      );
      await rig[Symbol.asyncDispose]();
    },
  };
}

const line = (message: unknown) => JSON.stringify(message);
const call = (method: string, args: unknown[], target = 0) => line(["push", ["pipeline", target, [method], args]]);
const pull = (id: number) => line(["pull", id]);
const addOnce = [call("add", [1, 2]), pull(1)].join("\n");
const three = line(["resolve", 1, 3]);

describe.each(stockVersions)("a batch of a client of stock $version", ({ stock }) => {
  const { newHttpBatchRpcSession } = stock;

  test("is answered, with calls pipelined on each other's results", async () => {
    await using bench = await setUp();
    const desk = newHttpBatchRpcSession<Desk>(bench.url);
    using ticket = desk.take(7);
    const [sum, number] = await Promise.all([desk.add(1, 2), ticket.getNumber()]);
    expect([sum, number]).toEqual([3, 7]);
  });

  test("250 times over leaves no object alive at the service", async () => {
    await using bench = await setUp();
    const numbers = await Promise.all(
      Array.from({ length: 250 }, async (_, index) => {
        const desk = newHttpBatchRpcSession<Desk>(bench.url);
        using ticket = desk.take(index);
        return await ticket.getNumber();
      }),
    );
    expect(numbers).toEqual(Array.from({ length: 250 }, (_, index) => index));
    await until(() => bench.desk.live() === 0, "all disposed");
  });

  test("has its callback called in the answer", async () => {
    await using bench = await setUp();
    const called = Promise.withResolvers<void>();
    class Visitor extends stock.RpcTarget {
      answer() {
        called.resolve();
        return "here";
      }
    }
    expect(await newHttpBatchRpcSession<Desk>(bench.url).tell(new Visitor() as never)).toBe("told");
    await called.promise;
  });

  test("gets a coded error that names the method that is not granted, and no argument", async () => {
    await using bench = await setUp();
    const desk = newHttpBatchRpcSession<Desk & { open(secret: string): string }>(bench.url);
    await expect(outcome(desk.open("secret"))).rejects.toMatchObject({
      code: "unimplemented",
      message: "No such method: open",
      requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });
});

describe("a batch of raw lines", () => {
  test("is answered in lines, whatever the content type", async () => {
    await using bench = await setUp();
    for (const type of ["application/x-ndjson", "application/json", "text/plain", "nonsense", undefined]) {
      const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
      const { status, headers: got, text } = await bench.send(addOnce, { headers });
      expect([status, got["content-type"], text]).toEqual([200, "application/x-ndjson", three]);
    }
  });

  test("may be empty, end in a newline, and have empty lines and CRLF", async () => {
    await using bench = await setUp();
    expect(await bench.send("")).toMatchObject({ status: 200, text: "" });
    expect(await bench.send("\n \r\n\n")).toMatchObject({ status: 200, text: "" });
    for (const body of [
      `${addOnce}\n`,
      `\n\n${addOnce.replace("\n", "\n\n")}`,
      `${addOnce.replace("\n", "\r\n")}\r\n`,
    ]) {
      expect(await bench.send(body)).toMatchObject({ status: 200, text: three });
    }
  });

  test("may call without waiting, and pipeline on the result of the first call", async () => {
    await using bench = await setUp();
    const body = [call("take", [5]), call("getNumber", [], 1), pull(2)].join("\n");
    expect(await bench.send(body)).toMatchObject({ status: 200, text: line(["resolve", 2, 5]) });
    expect(await bench.send(call("add", [1, 1]))).toMatchObject({ status: 200, text: "" });
    expect(bench.desk.calls.filter((name) => name === "add")).toHaveLength(1);
  });

  test("sees the code as the name of the error", async () => {
    await using bench = await setUp();
    const { text } = await bench.send([call("add", ["1", 2]), pull(1)].join("\n"));
    expect(JSON.parse(text)).toEqual([
      "reject",
      1,
      [
        "error",
        "invalid_argument",
        expect.any(String),
        null,
        { code: "invalid_argument", retryable: false, requestId: expect.any(String) },
      ],
    ]);
  });

  test("carries its trace in traceparent", async () => {
    await using bench = await setUp();
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    const { text } = await bench.send([call("add", ["1", 2]), pull(1)].join("\n"), { headers });
    expect(JSON.parse(text)[2][4].requestId).toBe(traceId);
  });
});

describe("a batch with a call that is not offered", () => {
  const calls: Record<string, [text: string, code: string]> = {
    "a pipe": ['["pipe"]', "unimplemented"],
    "a promise of the sender's": [call("add", [["promise", -1], 2]), "unimplemented"],
    "a map": ['["push",["remap",0,[],[],[["pipeline",0,["add"],[]]]]]', "unimplemented"],
    "a value": ['["push",[[1,2]]]', "unimplemented"],
    "a nesting of 1,000": [
      call("add", JSON.parse(`[${"[[".repeat(1_000)}${"]]".repeat(1_000)}]`)),
      "resource_exhausted",
    ],
  };

  for (const [what, [text, code]] of Object.entries(calls)) {
    test(`such as ${what} is answered, and so is the next call`, async () => {
      await using bench = await setUp();
      const body = [text, call("add", [1, 2]), pull(1), pull(2)].join("\n");
      const { status, text: answers } = await bench.send(body);
      expect(status).toBe(200);
      const told = answers.split("\n").map((answer) => JSON.parse(answer)) as unknown[][];
      expect(told).toContainEqual(["resolve", 2, 3]);
      expect(told).toContainEqual(["reject", 1, ["error", code, expect.any(String), null, expect.any(Object)]]);
    });
  }
});

describe("a batch that is refused", () => {
  const malformed: Record<string, string> = {
    "no JSON": "hello",
    "half a line": '["push",["pipeline"',
    "an object": '{"push":1}',
    "a number": "7",
    null: "null",
    "an empty array": "[]",
    "an unknown operation": '["eval","1+1"]',
    "an abort": '["abort",["error","Error","canary"]]',
    "an abort with a code of ours": '["abort",["error","Error","canary",null,{"code":"not_found","retryable":true}]]',
    "a push of nothing": '["push"]',
    "a release of what is not there": '["release",99,1]',
    "a pull of what is not there": '["pull",99]',
    "a call on what is not there": call("add", [1, 2], 99),
    "a bad error": '["push",["error",1,2]]',
    "a resolve of two": '["resolve",1]',
  };

  for (const [what, body] of Object.entries(malformed)) {
    test(`as ${what}: 400 or 429 and a code, no echo, and nothing after it runs`, async () => {
      await using bench = await setUp();
      const { status, headers, text } = await bench.send(`${body}\n${call("add", [1, 2])}\n${pull(1)}`);
      const answer = JSON.parse(text);
      expect(headers["content-type"]).toBe("application/json");
      expect([
        [400, "invalid_argument"],
        [429, "resource_exhausted"],
      ]).toContainEqual([status, answer.code]);
      expect(text).not.toMatch(/canary|node_modules|at [A-Z]/);
    });
  }

  test("has run nothing of what came before the malformed line", async () => {
    await using bench = await setUp();
    expect((await bench.send(`${addOnce}\nhello`)).status).toBe(400);
    expect((await bench.send(`${addOnce}\n${call("add", [["promised", -1]])}`)).status).toBe(400);
    expect(bench.desk.calls).toEqual([]);
  });

  test("is too large by its content length, or when its chunks are: 413", async () => {
    await using bench = await setUp();
    const large = " ".repeat(batchBytesMax + 1);
    const answers = [await bench.send(large), await bench.send([large]), await bench.send([addOnce, large, "x"])];
    for (const { status, text } of answers) {
      expect([status, JSON.parse(text).code, JSON.parse(text).reason]).toEqual([
        413,
        "resource_exhausted",
        "body_too_large",
      ]);
    }
    // Nothing is read that is refused by its length, and nothing more once it is too much: the body never ends here.
    const head = "POST /rpc/batch HTTP/1.1\r\nhost: x\r\n";
    const unsent = `${head}content-length: ${batchBytesMax + 1}\r\n\r\n`;
    const unended = `${head}transfer-encoding: chunked\r\n\r\n${(batchBytesMax + 1).toString(16)}\r\n${large}\r\n`;
    for (const bytes of [unsent, unended]) expect(await sendRaw(bench.server.url, bytes)).toMatch(/^HTTP\/1.1 413 /);
    expect(bench.desk.calls).toEqual([]);
    expect(await bench.send(addOnce.padEnd(batchBytesMax))).toMatchObject({ status: 200, text: three });
  });

  test("has too many calls, however they are written: 429", async () => {
    await using bench = await setUp();
    const spellings = [
      call("add", [1, 1]),
      `[ ${call("add", [1, 1]).slice(1)}`,
      call("add", [1, 1]).replace("p", "\\u0070"),
    ];
    for (const spelling of spellings) {
      const released = [spelling, line(["release", 1, 1])].join("\n");
      const many = [released, ...Array.from({ length: batchCallsMax }, () => spelling)].join("\n");
      const { status, text } = await bench.send(many);
      expect([status, JSON.parse(text).code]).toEqual([429, "resource_exhausted"]);
    }
    expect(bench.desk.calls).toEqual([]);
    const allowed = Array.from({ length: batchCallsMax }, () => call("add", [1, 1])).join("\n");
    expect((await bench.send(allowed)).status).toBe(200);
    expect(bench.desk.calls).toHaveLength(batchCallsMax);
  });
});

test("an answer that is larger than the limit is an error of its call, and of no other", async () => {
  class Large extends RpcTarget {
    get() {
      return "x".repeat(edgeLimits.sendBufferBytesMax + 1);
    }
  }
  await using bench = await setUp({ main: () => new Large() });
  const { status, text } = await bench.send([call("get", []), pull(1)].join("\n"));
  expect([status, JSON.parse(text)[2][4].reason]).toEqual([200, "message_too_large"]);
  expect(JSON.parse(text)[2][2]).toBe(`The answer of get would be more than ${edgeLimits.sendBufferBytesMax} bytes`);
});

describe("a batch that hangs", () => {
  const headers = { "flotilla-timeout-ms": "50" };

  test("is answered at its deadline, with the results that are there", async () => {
    const clock = makeVirtualClock();
    await using bench = await setUp({ clock });
    const hanging = bench.desk.hanging();
    const sent = bench.send([call("hang", []), call("add", [1, 2]), pull(1), pull(2)].join("\n"), { headers });
    await hanging;
    await clock.advance(50);
    const { status, text } = await sent;
    const answers = text.split("\n").map((answer) => JSON.parse(answer));
    expect(status).toBe(200);
    expect(answers).toContainEqual(["resolve", 2, 3]);
    expect(answers.find(([, id]) => id === 1)[2].slice(0, 2)).toEqual(["error", "deadline_exceeded"]);
    bench.desk.answerAll();
  });

  test("because it waits for a callback of its client's is answered too", async () => {
    const clock = makeVirtualClock();
    await using bench = await setUp({ clock });
    const sent = bench.send([call("ask", [["export", -1]]), pull(1)].join("\n"), { headers });
    await until(() => bench.desk.calls.length > 0, "the call");
    await clock.advance(50);
    const { status, text } = await sent;
    expect(status).toBe(200);
    expect(text).toContain('["reject",1,["error","deadline_exceeded"');
  });

  test("in a target without a boundary is answered too, and the target is disposed", async () => {
    const clock = makeVirtualClock();
    const hanging = Promise.withResolvers<void>();
    let disposed = 0;
    class Raw extends RpcTarget {
      hang() {
        hanging.resolve();
        return new Promise(() => {});
      }
      [Symbol.dispose]() {
        disposed += 1;
      }
    }
    await using bench = await setUp({ main: () => new Raw(), clock });
    const sent = bench.send([call("hang", []), pull(1)].join("\n"), { headers });
    await hanging.promise;
    await clock.advance(50);
    const { status, text } = await sent;
    expect(status).toBe(200);
    expect(text).toContain('["reject",1,["error","deadline_exceeded"');
    await until(() => disposed === 1, "the target disposed");
  });

  test("ends at once when its client goes away", async () => {
    await using bench = await setUp();
    const hanging = bench.desk.hanging();
    const socket = openBatch(bench.url, [call("hang", []), pull(1)].join("\n"));
    await hanging;
    socket.destroy();
    await until(() => bench.desk.live() === 0, "the session torn down");
    bench.desk.answerAll();
  });
});

test("a client that goes away in the middle of its body leaves nothing behind", async () => {
  await using bench = await setUp();
  for (let round = 0; round < 20; round += 1) {
    const socket = openBatch(bench.url, addOnce, 1_000);
    await once(socket, "connect");
    await until(() => bench.desk.live() > 0, "the request admitted");
    socket.resetAndDestroy();
    await until(() => bench.desk.live() === 0, "what was made for it disposed");
  }
  expect(bench.desk.calls).toEqual([]);
});

function openBatch(url: string, body: string, contentLength = body.length): ReturnType<typeof connectSocket> {
  const { hostname, port } = new URL(url);
  const socket = connectSocket(Number(port), hostname);
  socket.on("error", () => {});
  socket.write(`POST /rpc/batch HTTP/1.1\r\nhost: x\r\ncontent-length: ${contentLength}\r\n\r\n${body}`);
  return socket;
}
