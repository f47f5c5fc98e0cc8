import type { Server } from "@flotilla/kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { until } from "../process-harness.ts";
import { secret, serveBoard } from "./board.ts";
import { inTime, post } from "./hostile-http.ts";
import { callOf, dial, doorsOf, errorOf, type HostilePeer, type Message } from "./hostile-peer.ts";
import { expectRefused, refusalOf, resultOf } from "./verdict.ts";

// The shop takes no callbacks, so these attacks go to a service of the kit's that does.
let server: Server;
beforeAll(async () => {
  server = await serveBoard();
});
afterAll(() => server.drain(0));

afterEach(() =>
  until(() => JSON.stringify(server.stats()) === '{"sessions":0,"imports":0,"exports":0}', "nothing is held"),
);

/** A context line, so that calls end soon. */
const within = (ms: number) => `{"tp":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","ms":${ms},"via":[]}`;
/** `callbackCallsMax` of the kit, of which this file knows nothing. */
const callsMax = 100;
const doors = () => doorsOf("board", server.url);
/** An object of the attacker's own. */
const own = ["export", -1];

/** Answers each call of ours of `peer` that has come by `answer`. @returns how many came so far. */
function answering(peer: HostilePeer, answer: (id: number) => readonly Message[]): () => number {
  let calls = 0;
  peer.socket.on("message", (data) => {
    for (const line of data.toString().split("\n")) {
      if (!/^\["(push|call)"/.test(line)) continue;
      calls += 1;
      const messages = answer(calls);
      if (messages.length > 0) peer.send(...messages);
    }
  });
  return () => calls;
}

/** A well-behaved session beside, which is not to notice anything. */
async function expectServed(): Promise<void> {
  const [door] = doors();
  const startMs = performance.now();
  expect(resultOf(await door!.exchange(callOf("fail", ["not"])))).toBe("well");
  expect(performance.now() - startMs).toBeLessThan(2_000);
}

describe("a callback", () => {
  test("C9 that calls back into the method that is calling it stops nobody else, and ends with its deadline", async () => {
    using peer = await dial(server.url, { framing: "flotilla.v1" });
    let depth = 0;
    const calls = answering(peer, () => {
      depth += 1;
      return depth > 50 ? [] : [["push", ["pipeline", 0, ["ask"], ["again", own]]]];
    });
    const id = peer.takeId();
    peer.sendFrame(
      `${within(500)}\n${JSON.stringify(["push", ["pipeline", 0, ["ask"], ["first", own]]])}\n["pull",${id}]`,
    );
    await until(() => calls() >= 51, "it has called itself often");
    await expectServed();
    expect(errorOf(await inTime(peer.answer(id), ["ask"]))?.code).toBe("deadline_exceeded");
  });

  test("C10 that fails with an error of another's says nothing in that other's name", async () => {
    const spoofed = [
      { code: "permission_denied", retryable: false, reason: "revoked" },
      { code: "unauthenticated", retryable: true, reason: "introduction_refused", requestId: "f".repeat(32) },
      { code: "resource_exhausted", retryable: true, reason: "insufficient_stock", status: 200 },
    ];
    for (const fields of spoofed) {
      using peer = await dial(server.url);
      answering(peer, (id) => [["reject", id, ["error", fields.code, "Insufficient stock", null, fields]]]);
      const answer = await inTime(peer.answer(peer.call("ask", ["well?", own])), ["ask"]);
      expect(errorOf(answer), fields.code).toMatchObject({
        code: "failed_precondition",
        fields: { reason: "callback_failed", retryable: false },
      });
      expect(JSON.stringify(answer)).not.toMatch(/stock|introduction_refused|fffff/i);
    }
  });

  test("R5 that is never answered ends by its deadline, in a batch too, and holds nothing", async () => {
    using peer = await dial(server.url, { framing: "flotilla.v1" });
    const ids = Array.from({ length: 200 }, () => peer.takeId());
    const calls = ids.map((id) => `${JSON.stringify(["push", ["pipeline", 0, ["ask"], ["?", own]]])}\n["pull",${id}]`);
    peer.sendFrame(`${within(300)}\n${calls.join("\n")}`);
    const codes: (string | undefined)[] = [];
    for (const id of ids) codes.push(errorOf(await inTime(peer.answer(id), ["ask"]))?.code);
    // Those that had a turn, and those that had waited for half of their time when they could have had one.
    expect(new Set(codes)).toEqual(new Set(["deadline_exceeded", "resource_exhausted"]));

    const startMs = performance.now();
    const body = callOf("ask", ["?", own])
      .map((line) => JSON.stringify(line))
      .join("\n");
    const headers = { "flotilla-timeout-ms": "300" };
    const { status, text } = await post(`${server.url}/rpc/batch`, { headers, body });
    expect(status).toBe(200);
    expect(text).toContain("deadline_exceeded");
    expect(performance.now() - startMs).toBeLessThan(2_000);
    // Nor is a call held back for an argument that its sender will never resolve.
    await expectRefused(doors(), callOf("ask", ["?", ["promise", -1]]), { codes: ["unimplemented"] });
    await expectRefused(doors(), callOf("fail", [["promise", -1]]), { codes: ["unimplemented"] });
  });

  test("R16 that takes what it is told and never answers is dropped, call by call, at the deadline", async () => {
    using peer = await dial(server.url, { framing: "flotilla.v1" });
    const answer = await inTime(peer.answer(peer.call("tell", [900, 200, own])), ["tell"]);
    expect(answer[2]).toBe("r".repeat(900));
    await expectServed();
    // What comes after the deadline is heard by nobody.
    peer.send(["resolve", 1, "late"], ["resolve", 900, "late"]);
    await expectServed();
    peer.socket.terminate();
  });

  test("R16 of a subscriber that never answers is sent a hundred calls, however many there are, and no more is held", async () => {
    using peer = await dial(server.url, { framing: "flotilla.v1" });
    const calls = answering(peer, () => []);
    const id = peer.call("tell", [900, 10_000, own]);
    await until(() => calls() >= callsMax, "it was told as much as may be");
    await expectServed();
    expect(calls()).toBe(callsMax);
    // Beside its calls: the listener, and each session's main objects.
    expect(server.stats().imports).toBeLessThan(callsMax + 10);
    // Who answers after all has been told a hundred things; the others failed meanwhile, and stopped nothing.
    peer.send(...Array.from({ length: callsMax }, (_, i) => ["resolve", i + 1, "heard"]));
    const answer = await inTime(peer.answer(id), ["tell"]);
    expect(answer[2]).toBe("f".repeat(callsMax) + "r".repeat(900 - callsMax));
    expect(calls()).toBe(callsMax);
  });

  test("T10 that is a stream, a value or the service's own method is refused or called with its own rights", async () => {
    for (const value of ["text", 7, null, {}, [[]], ["error", "Error", "x"], ["undefined"]]) {
      await expectRefused(doors(), callOf("ask", ["?", value]), { codes: ["invalid_argument"] });
    }
    for (const value of [
      ["readable", -1],
      ["writable", -1],
      ["blob", "", ["readable", -1]],
    ]) {
      await expectRefused(doors(), callOf("ask", ["?", value]), { codes: ["unimplemented"] });
    }
    // Its own main object and its own failing method as the listener: capnweb lets an un-awaited one end the process.
    for (const value of [
      ["import", 0],
      ["pipeline", 0, ["fail"]],
      ["pipeline", 0, []],
    ]) {
      for (const door of doors()) {
        const outcome = await door.exchange(callOf("ask", ["driver", value]));
        expect(refusalOf(outcome), `${door.name} ${value}`).toBeDefined();
        expect(JSON.stringify(outcome)).not.toContain(secret);
      }
    }
    await expectServed();
  });
});

test("W13 a driver's error, a bug and a time-out leave as a code, a message and a request id", async () => {
  for (const how of ["driver", "text", "object", "bug", "nested", "coded", "returned", "stub"]) {
    for (const door of doors()) {
      const outcome = await door.exchange(callOf("fail", [how]));
      const answer = outcome.heard.find(([kind]) => kind === "reject");
      const error = errorOf(answer);
      expect(error, `${door.name} ${how}`).toEqual({
        code: "internal",
        message: "Internal error",
        fields: { code: "internal", retryable: false, requestId: expect.stringMatching(/^[0-9a-f]{32}$/) },
      });
      expect(answer?.at(-1)).toHaveLength(5);
      expect(JSON.stringify(outcome)).not.toMatch(/canary|10\.1\.2\.3|\.ts:|node:/);
    }
  }
  using peer = await dial(server.url, { framing: "flotilla.v1" });
  const id = peer.takeId();
  peer.sendFrame(`${within(100)}\n${JSON.stringify(callOf("fail", ["slow"])[0])}\n["pull",${id}]`);
  expect(errorOf(await peer.answer(id))?.fields).toMatchObject({ code: "deadline_exceeded" });
});
