import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inTime } from "./hostile-http.ts";
import { type Closed, callOf, dial, list } from "./hostile-peer.ts";
import { startTarget, type Target } from "./target.ts";
import { expectNoEffect, expectNothingAsked, expectRefused, notOffered, resultOf } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run));

/** Messages and frames that are not Cap'n Web. */
const invalidFrames: readonly (string | Buffer)[] = [
  Buffer.from('["pull",1]'),
  Buffer.alloc(0),
  "",
  "\n",
  "null",
  "7",
  '"push"',
  "[]",
  "[[]]",
  "{}",
  '{"push":1}',
  "[",
  '["push"',
  '["PUSH",["pipeline",0,["listUsers"],["x"]]]',
  '["shutdown"]',
  '["__proto__",1]',
  '["push"]',
  '["push",["secret",1]]',
  '["push",["pipeline"]]',
  '["push",["pipeline",0.5,["listUsers"],["x"]]]',
  '["push",["pipeline","0",["listUsers"],["x"]]]',
  '["push",["pipeline",0,["listUsers"],{}]]',
  '["push",["pipeline",0,["listUsers"],["x"],7]]',
  '["pull",1000000000]',
  '["pull",1e400]',
  '["pull",-1]',
  '["pull",1.5]',
  '["pull"]',
  '["release",0,-1000]',
  '["release",1,-1000]',
  '["release",-1,0]',
  '["release",1,0.5]',
  '["release",7,1]',
  '["resolve",1.5,1]',
  '["resolve",0,["export",-1]]',
  '["reject",0,["error","Error","x"]]',
  '["abort",["error",{},[]]]',
];

/** A peer may end its session, for any reason it gives. */
const ended = '["abort",["promise",-1]]';

function closeCodeFor(frame: string | Buffer): number {
  if (frame === ended) return 1000;
  return Buffer.isBuffer(frame) ? 1003 : 1008;
}

/** In the place of a call. */
const noCalls = [null, 7, "x", {}, list(1), ["export", -1], ["promise", -1], ["error", "Error", "x"]];

describe("T11 a frame that is not the protocol", () => {
  attack("T11 pull of an unknown id, and every other invalid frame, ends that session only", async () => {
    using sibling = await dial(target.shop.urls.gateway);
    const urls = [
      ["gateway", () => ({})],
      ["users", () => target.helloTo("users")],
      ["orders", () => target.helloTo("orders")],
    ] as const;
    for (const [service, headers] of urls) {
      for (const framing of ["capnweb", "flotilla.v1"] as const) {
        for (const frame of [...invalidFrames, ended]) {
          using peer = await dial(target.shop.urls[service], { framing, headers: headers() });
          peer.sendFrame(frame);
          const closed: Closed = await inTime(peer.closed, [service, framing, frame]);
          expect(closed.code, `${service} ${framing} ${frame}`).toBe(closeCodeFor(frame));
          expectNothingAsked(peer, String(frame));
          // The abort says what was wrong without saying it back.
          if (frame.length > 20) expect(JSON.stringify(peer.heard)).not.toContain(frame.toString().slice(1, -1));
        }
      }
    }
    const id = sibling.call("listUsers", [target.tokens.charlie]);
    expect((await inTime(sibling.answer(id), ["listUsers"]))[0]).toBe("resolve");
  });

  attack("T11 a batch of invalid messages is a 400, and a call beside them does not run", async () => {
    const token = target.tokens.charlie;
    const orders = async () => resultOf(await target.doors[0]!.exchange(callOf("listOrders", [token])));
    const ordering = callOf("createOrder", [token, list({ name: "Laptop", quantity: 1, price: 999.99 })]);
    const before = await orders();
    const batches = [target.doors, target.innerDoors.users, target.innerDoors.orders].map((doors) => doors.at(-1)!);
    const texts = invalidFrames.filter((frame): frame is string => typeof frame === "string" && frame.trim() !== "");
    for (const text of texts.filter((it) => !it.startsWith('["release",7') && !it.startsWith('["pull",1000'))) {
      for (const door of batches) {
        const { status, ended } = await door.exchange([...ordering, text]);
        expect([status, ended], `${door.name} ${text}`).toEqual([400, "invalid_argument"]);
      }
    }
    expect(await orders()).toEqual(before);
  });

  attack("T11 a value in the place of a call, and a pull of the main object, are refused by themselves", async () => {
    for (const value of noCalls)
      await expectRefused(
        target.everyDoor,
        [
          ["push", value],
          ["pull", 1],
        ],
        notOffered,
      );
    await expectRefused(target.everyDoor, [["pull", 0]], { ...notOffered, call: 0 });
  });

  attack("T11 an answer to what nobody asked is heard by nobody", async () => {
    for (const id of [-1, 1, 7]) await expectNoEffect(target.everyDoor, ["resolve", id, 1]);
  });

  attack("T11 context lines that are none end the session", async () => {
    const tp = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const lines = [
      "{}",
      "{",
      `{"tp":"${tp}","ms":-1,"via":[]}`,
      `{"tp":"${tp}","ms":"1","via":[]}`,
      `{"tp":"${tp}","ms":1e400,"via":[]}`,
      `{"tp":"${tp}","ms":1,"via":["a b"]}`,
      `{"tp":"${tp}","ms":1,"via":"gateway"}`,
      `{"tp":"${tp}","ms":1,"via":[${'"a",'.repeat(16)}"a"]}`,
      `{"tp":"00-${"0".repeat(32)}-00f067aa0ba902b7-01","ms":1,"via":[]}`,
      `{"tp":"${tp}\\n","ms":1,"via":[]}`,
    ];
    for (const line of lines) {
      using peer = await dial(target.shop.urls.gateway, { framing: "flotilla.v1" });
      peer.sendFrame(`${line}\n${JSON.stringify(callOf("listUsers", ["x"])[0])}`);
      expect((await inTime(peer.closed, [line])).code, line).toBe(1008);
    }
  });
});
