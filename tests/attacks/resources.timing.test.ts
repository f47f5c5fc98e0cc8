import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../process-harness.ts";
import { inTime, post, sendRaw } from "./hostile-http.ts";
import { callOf, dial, errorOf, type HostilePeer, list, type Message } from "./hostile-peer.ts";
import { expectLittleMemory, startTarget, type Target } from "./target.ts";
import { exhausted, expectRefused, notOffered, resultOf } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run));

const malformed = { codes: ["invalid_argument"] };
const gateway = () => target.shop.urls.gateway;
const laptop = { name: "Laptop", quantity: 1, price: 999.99 };
/** What a cheap refusal takes on a busy machine; without its defence each of these attacks takes seconds. */
const refusedMsMax = 1_000;

/** How a session ended: the code of the abort it was told, and of the WebSocket's close. */
async function endOf(peer: HostilePeer): Promise<{ code: string | undefined; close: number }> {
  const { code } = await inTime(peer.closed, ["the session's end"]);
  return { code: errorOf(peer.heard.find(([kind]) => kind === "abort"))?.code, close: code };
}

describe("a message that makes more work than it costs", () => {
  attack("R1 a nested .map() over a thousand elements is refused before it runs", async () => {
    const elements = Array.from({ length: 1_000 }, () => 0);
    const inner = ["remap", 0, [], [["import", -1]], [[elements]]];
    const programs = [["remap", 0, [], [], [inner, [elements]]], ["remap", -1, ["x"], [], [inner]], inner];
    const isMap = { ...notOffered, says: "Not offered here: map" };
    for (const program of programs) {
      const startMs = performance.now();
      await expectRefused(
        target.everyDoor,
        [
          ["push", program],
          ["pull", 1],
        ],
        isMap,
      );
      await expectRefused(target.everyDoor, callOf("listUsers", [program]), isMap);
      expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
    }
  });

  attack("R1 calls pipelined on each other end at the limit, before they become quadratic", async () => {
    const chain = (length: number): Message[] => [
      ...Array.from({ length }, (_, id): Message => ["push", ["pipeline", id, ["listUsers"], ["x"]]]),
      ["pull", length],
    ];
    const startMs = performance.now();
    await expectRefused(target.doors, chain(95), { codes: ["resource_exhausted"], call: 95 });
    const path = Array.from({ length: 5_000 }, () => "a");
    await expectRefused(
      target.everyDoor,
      [
        ["push", ["pipeline", 0, path, []]],
        ["pull", 1],
      ],
      { codes: ["resource_exhausted"] },
    );
    expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
  });

  attack("R1 calls that each wait for the one before fail with the first, and end no service", async () => {
    const length = 990;
    const login: Message = ["push", ["pipeline", 0, ["login"], ["bob", "wrong"]]];
    const waiting = Array.from(
      { length },
      (_, at): Message => ["push", ["pipeline", 0, ["x"], [["pipeline", at + 1]]]],
    );
    for (const framing of ["capnweb", "flotilla.v1"] as const) {
      using peer = await dial(gateway(), { framing });
      peer.send(login, ...waiting, ["pull", length + 1]);
      expect(errorOf(await inTime(peer.answer(length + 1), ["the last call's answer"]))).toMatchObject({
        code: "unauthenticated",
      });
    }
  });

  attack("R15 no text makes a validator slow", async () => {
    const texts = [
      "a".repeat(50_000),
      `${"a".repeat(50_000)}!`,
      "-".repeat(50_000),
      `order${"1".repeat(50_000)}x`,
      "\u0301".repeat(50_000),
    ];
    const token = target.tokens.charlie;
    for (const text of texts) {
      for (const lines of [
        callOf("login", [text, text]),
        callOf("listUsers", [text]),
        callOf("createOrder", [token, list(laptop), text]),
        callOf("cancelOrder", [target.tokens.alice, text]),
        callOf("createOrder", [token, list({ ...laptop, name: text })]),
      ]) {
        const startMs = performance.now();
        await expectRefused(target.doors.slice(0, 1), lines, malformed);
        expect(performance.now() - startMs, `${lines[0]}`.slice(0, 100)).toBeLessThan(refusedMsMax);
      }
      const slow = {
        traceparent: text.slice(0, 7_000),
        "flotilla-timeout-ms": text.slice(0, 7_000).replace(/[^ -~]/g, "1"),
      };
      const startMs = performance.now();
      const { status } = await post(`${gateway()}/rpc/batch`, {
        headers: { "flotilla-timeout-ms": slow["flotilla-timeout-ms"] },
      });
      expect(status).toBe(200);
      expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
    }
    await expectRefused(target.doors, callOf("listUsers", [["bigint", `${"1".repeat(16_384)}x`]]), malformed);
    await expectRefused(target.doors, callOf("listUsers", [["url", `http://${"a.".repeat(20_000)}/`]]), malformed);
  });
});

describe("a session that takes more than its share", () => {
  attack("R2 calls that are never released end the session at the cap", async () => {
    for (const framing of ["capnweb", "flotilla.v1"] as const) {
      await expectLittleMemory(target, 60, async () => {
        using peer = await dial(gateway(), { framing });
        peer.send(...Array.from({ length: 1_500 }, (): Message => ["push", ["pipeline", 0, ["listUsers"], ["x"]]]));
        expect(await endOf(peer)).toEqual({ code: "resource_exhausted", close: 1008 });
      });
    }
  });

  attack("R2 results that are never released are no more than the cap, though their calls are", async () => {
    const main = ["pipeline", 0];
    await expectLittleMemory(target, 60, async () => {
      using peer = await dial(gateway(), { framing: "flotilla.v1" });
      const codes = await askAndKeep(peer, main, 1_500);
      expect(codes.slice(0, 1_000)).toEqual(Array(1_000).fill(undefined));
      expect(codes.slice(1_000)).toEqual(Array(500).fill("resource_exhausted"));
      // The session lives, and for each that is given back there is room for one.
      peer.send(["release", -1, 1], ["release", -2, 1]);
      expect(await askAndKeep(peer, main, 3)).toEqual([undefined, undefined, "resource_exhausted"]);
    });
  });

  attack("R2 more messages in a second than anybody needs end the session", async () => {
    using peer = await dial(gateway(), { framing: "flotilla.v1" });
    for (let round = 0; round < 40; round += 1) {
      peer.send(
        ...Array.from({ length: 500 }, (): Message[] => [
          ["push", ["pipeline", 0, ["listUsers"], ["x"]]],
          ["release", peer.takeId(), 1],
        ]).flat(),
      );
    }
    expect(await endOf(peer)).toEqual({ code: "resource_exhausted", close: 1008 });
  });

  attack("R2 capabilities and references by the hundred are refused at the cap", async () => {
    const own = Array.from({ length: 60 }, (_, i) => ["export", -1 - i]);
    const many = (from: number) => list(...own.map(([tag, id]) => [tag, Number(id) - from]));
    await expectRefused(
      target.doors,
      callOf("listUsers", [list(...Array.from({ length: 100 }, () => ["import", 0]))]),
      exhausted,
    );
    // The first sixty are held for as long as their call waits for a login.
    const lines: Message[] = [
      ["push", ["pipeline", 0, ["login"], ["charlie", "password"]]],
      ["push", ["pipeline", 0, ["listUsers"], [many(0), ["pipeline", 1]]]],
      ["push", ["pipeline", 0, ["listUsers"], [many(100)]]],
      ["pull", 3],
    ];
    await expectRefused(target.doors, lines, { ...exhausted, call: 3 });
  });

  attack("R3 five thousand pipes end the session at the cap of its calls", async () => {
    await expectLittleMemory(target, 60, async () => {
      for (const framing of ["capnweb", "flotilla.v1"] as const) {
        using peer = await dial(gateway(), { framing });
        // Not more than the messages of a second: a frame of more is refused before its first line is read.
        peer.send(...Array.from({ length: 5_000 }, (): Message => ["pipe"]));
        expect(await endOf(peer)).toEqual({ code: "resource_exhausted", close: 1008 });
      }
    });
  });

  attack("R4 a batch of too many bytes is a 413, of too many calls a 429, and none of its calls runs", async () => {
    const order = JSON.stringify(callOf("createOrder", [target.tokens.charlie, list(laptop)])[0]);
    const before = await countOrders();
    for (const [calls, expected] of [
      [2_500, 413],
      [101, 429],
    ] as const) {
      const startMs = performance.now();
      const answer = await post(`${gateway()}/rpc/batch`, { body: `${order}\n`.repeat(calls) });
      expect(answer.status).toBe(expected);
      expect(JSON.parse(answer.text)).toMatchObject({ code: "resource_exhausted", retryable: false });
      expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
    }
    // So much is still being sent when it is refused: whoever sends it may find the connection closed.
    const huge = await post(`${gateway()}/rpc/batch`, { body: `${order}\n`.repeat(30_000) }).catch(() => undefined);
    if (huge) expect(huge.status).toBe(413);
    const chunked = `POST /rpc/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`;
    const chunk = `${(65_536).toString(16)}\r\n${" ".repeat(65_536)}\r\n`;
    expect(await sendRaw(gateway(), chunked + chunk.repeat(10))).toMatch(/^HTTP\/1\.1 413 /);
    expect(await countOrders()).toBe(before);
  });

  attack("R5 a batch that waits for a promise of its sender's is refused at once", async () => {
    for (const value of [["promise", -1], list(["promise", -1]), { a: ["promise", -1] }]) {
      const startMs = performance.now();
      await expectRefused(target.everyDoor, callOf("listUsers", [value]), { ...notOffered, says: "a promise" });
      expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
    }
  });
});

/** Makes `call` so often, and keeps each result, not the call. @returns the code with which each was refused. */
async function askAndKeep(peer: HostilePeer, call: unknown[], times: number): Promise<(string | undefined)[]> {
  const codes: (string | undefined)[] = [];
  while (codes.length < times) {
    const ids = Array.from({ length: Math.min(100, times - codes.length) }, () => peer.takeId());
    peer.send(
      ...ids.flatMap((id): Message[] => [
        ["push", call],
        ["pull", id],
      ]),
    );
    for (const id of ids) codes.push(errorOf(await inTime(peer.answer(id), call))?.code);
    peer.send(...ids.map((id): Message => ["release", id, 1]));
  }
  return codes;
}

async function countOrders(token = target.tokens.charlie): Promise<number> {
  const [orders] = resultOf(await target.doors[0]!.exchange(callOf("listOrders", [token]))) as [unknown[]];
  return orders.length;
}

/** As fast as the gateway takes them. */
async function placeOrders(count: number): Promise<void> {
  using peer = await dial(gateway(), { framing: "flotilla.v1" });
  for (let placed = 0; placed < count; placed += 50) {
    const ids = Array.from({ length: 50 }, () => peer.call("createOrder", [target.tokens.charlie, list(laptop)]));
    for (const id of ids) await peer.answer(id);
    peer.send(...ids.map((id): Message => ["release", id, 1]));
  }
}

describe("much to answer", () => {
  attack("R13 a list is as long as the service wants it, whatever is asked", async () => {
    const token = target.tokens.charlie;
    for (const option of [1e9, -1, { limit: 1e9 }, ".*", { $regex: "(a+)+$" }, null]) {
      await expectRefused(target.doors, callOf("listOrders", [token, option]), malformed);
      await expectRefused(target.doors, callOf("listUsers", [token, option]), malformed);
    }
    await placeOrders(1_050);
    expect(await countOrders()).toBe(1_000);
  });

  attack("R1 a result that is an argument many times is copied no more often than a message may be long", async () => {
    const call: Message = ["push", ["pipeline", 0, ["x"], Array.from({ length: 64 }, () => ["pipeline", 1])]];
    using peer = await dial(gateway(), { framing: "flotilla.v1" });
    expect(
      (await inTime(peer.answer(peer.call("listOrders", [target.tokens.charlie])), ["a thousand orders"]))[0],
    ).toBe("resolve");
    const startMs = performance.now();
    peer.send(...Array.from({ length: 60 }, () => call), ["pull", 61]);
    expect(errorOf(await inTime(peer.answer(61), ["the last call's answer"]))?.code).toBe("resource_exhausted");
    expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
  });

  attack("R6 a peer that asks for much and reads nothing is cut, and nothing of it stays in memory", async () => {
    const asked = 300;
    // A few at a time: what so many lists at once cost everybody is another question (docs/attacks.md).
    const atOnce = 10;
    expect(await countOrders()).toBe(1_000);
    await expectLittleMemory(target, 150, async () => {
      using peer = await dial(gateway(), { framing: "flotilla.v1" });
      const { sessions = 0 } = (await target.shop.stats("gateway")).server;
      peer.tcp.pause();
      for (let i = 0; i < asked; i += 1) {
        peer.call("listOrders", [target.tokens.charlie]);
        if (i % atOnce === 0) await delay(100);
      }
      await until(async () => ((await target.shop.stats("gateway")).server.sessions ?? 0) < sessions, "it was cut");
    });
  });
});
