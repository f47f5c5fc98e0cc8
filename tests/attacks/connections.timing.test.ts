import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../process-harness.ts";
import { upgradeRequest } from "./adversary-wire.ts";
import { dialTcp, inTime, post } from "./hostile-http.ts";
import { callOf, dial, type HostilePeer } from "./hostile-peer.ts";
import { expectLittleMemory, startTarget, type Target } from "./target.ts";
import { expectRefused } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run));

const malformed = { codes: ["invalid_argument"] };
const gateway = () => target.shop.urls.gateway;
/** The time of a cheap refusal on a busy machine; without its defence the attack takes seconds. */
const refusedMsMax = 1_000;

describe("connections that are held", () => {
  attack("R7 one address has so many sessions and no more, and the others of it go on", async () => {
    const opened: HostilePeer[] = [];
    let refused = "";
    try {
      while (refused === "" && opened.length < 400) {
        await dial(gateway()).then(
          (peer) => opened.push(peer),
          (error: Error) => {
            refused = error.message;
          },
        );
      }
      expect(refused).toBe("refused: 429");
      expect(opened.length).toBeLessThanOrEqual(256);
      expect((await post(`${gateway()}/rpc/batch`)).status).toBe(429);
      const [first] = opened;
      const id = first!.call("listUsers", [target.tokens.charlie]);
      expect((await inTime(first!.answer(id), ["listUsers"]))[0]).toBe("resolve");
    } finally {
      for (const peer of opened) peer.socket.terminate();
    }
    await until(async () => (await post(`${gateway()}/rpc/batch`)).status === 200, "there is room again");
  });

  attack("R8 whoever trickles headers, a body, a handshake or a frame is cut within ten seconds", async () => {
    const slow: Record<string, string> = {
      nothing: "",
      "a line": "POST /rpc/ba",
      headers: "POST /rpc/batch HTTP/1.1\r\nhost: x\r\nx-a: ",
      "a body": "POST /rpc/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n",
      chunks: "POST /rpc/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
      "a handshake": upgradeRequest().slice(0, -2),
      // Open by then, and no answer to a ping: a byte of a frame that never comes to its end.
      "a frame": upgradeRequest(),
    };
    const startMs = performance.now();
    await Promise.all(
      Object.entries(slow).map(async ([what, begin]) => {
        using connection = await dialTcp(gateway());
        if (begin !== "") connection.write(begin);
        const drip = what === "a frame" ? Buffer.from([0x81]) : what === "chunks" ? "1\r\na\r\n" : "a";
        if (what === "a frame") connection.write(Buffer.from([0x01, 0xfe, 0xff, 0xff, 0, 0, 0, 0]));
        const timer = what === "nothing" ? undefined : setInterval(() => connection.write(drip), 500);
        await connection.ended.finally(() => clearInterval(timer));
        expect(performance.now() - startMs, what).toBeLessThan(11_000);
      }),
    );
  });
});

describe("bytes that are too many", () => {
  attack("R9 nothing is decompressed: not a frame, not a body", async () => {
    const extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, permessage-deflate";
    // A compressed frame nevertheless: the first of the reserved bits.
    const answer = await inTime(
      (async () => {
        using connection = await dialTcp(gateway());
        connection.write(upgradeRequest([extensions]));
        connection.write(Buffer.from([0xc1, 0x84, 0, 0, 0, 0, 1, 2, 3, 4]));
        return await connection.ended;
      })(),
      ["a compressed frame"],
    );
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer.toLowerCase()).not.toContain("permessage-deflate");
    const bomb = Buffer.from("1f8b0800000000000003", "hex");
    const gzip = await post(`${gateway()}/rpc/batch`, { headers: { "content-encoding": "gzip" }, body: bomb });
    expect(gzip.status).toBe(415);
  });

  attack("R10 32 MB of garbage close the session and are neither said back nor logged", async () => {
    const garbage = "x".repeat(32 * 1024 * 1024);
    const written = () => target.shop.output("gateway").length;
    const before = written();
    await expectLittleMemory(target, 120, async () => {
      using peer = await dial(gateway());
      peer.socket.on("error", () => {});
      peer.sendFrame(garbage);
      const closed = await inTime(peer.closed, ["garbage"]);
      expect([1009, 1006]).toContain(closed.code);
      expect(JSON.stringify(peer.heard).length).toBeLessThan(1_000);
      const answer = await post(`${gateway()}/rpc/batch`, { body: garbage }).catch(() => undefined);
      if (answer) expect(answer.status).toBe(413);
    });
    using peer = await dial(gateway());
    peer.sendFrame("x".repeat(200_000));
    await inTime(peer.closed, ["garbage"]);
    expect(JSON.stringify(peer.heard).length).toBeLessThan(1_000);
    expect(JSON.stringify(peer.heard)).not.toContain("xxx");
    expect(written() - before).toBeLessThan(2_048);
    expect(target.shop.output("gateway").slice(before)).not.toContain("xxx");
  });

  attack("R10 a frame that announces 32 MB ends its session before any of them has come", async () => {
    using peer = await dial(gateway());
    peer.socket.on("error", () => {});
    // RFC 6455, 5.2: the last fragment, of text; masked, its length in eight bytes; the mask.
    peer.tcp.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x02, 0, 0, 0, 1, 2, 3, 4]));
    expect((await inTime(peer.closed, ["a frame's head"])).code).toBe(1009);
  });

  attack("R12 a password of ten megabytes is refused for its length, and none is hashed that is too long", async () => {
    const huge = "p".repeat(10 * 1024 * 1024);
    using peer = await dial(gateway());
    peer.socket.on("error", () => {});
    peer.call("login", ["bob", huge]);
    expect([1009, 1006]).toContain((await inTime(peer.closed, ["a password"])).code);
    const lines = callOf("login", ["bob", "p".repeat(1_025)]);
    // Two hashes at a time of 6 ms at least: so many would take more than a second.
    const startMs = performance.now();
    await Promise.all(Array.from({ length: 120 }, () => expectRefused(target.doors.slice(0, 1), lines, malformed)));
    expect(performance.now() - startMs).toBeLessThan(refusedMsMax);
    await expectRefused(target.innerDoors.users, callOf("authenticate", ["bob", "p".repeat(200_000)]), malformed);
  });
});
