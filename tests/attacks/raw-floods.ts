// Floods of bytes that no client library would send, written as fast as the kernel takes them.
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { upgradeRequest } from "./adversary-wire.ts";
import type { Attacked, MeasuredAttack } from "./attacker.ts";
import { dial, type HostilePeer } from "./hostile-peer.ts";

/** The attacker's address; only Linux has it without being told, and elsewhere it shares the customer's limits. */
export const localAddress = process.platform === "linux" ? "127.0.0.2" : undefined;

/** Bytes of one write: larger ones gain nothing. */
const writeBytes = 64 * 1024;
/** Between two attempts of a connection that is refused at once. Milliseconds. */
const redialMs = 2;

interface Stream {
  /** Written once, before the rest. */
  readonly head?: string;
  /** Repeated for as long as the connection lasts. */
  readonly unit: string | Buffer;
}

interface RawFlood {
  readonly row: string;
  readonly name: string;
  readonly connections: number;
  /** Default: the gateway. */
  readonly to?: (at: Attacked) => string;
  stream(): Stream;
}

/** Each connection writes for the whole round; one that the server ends is opened again. Counts units. */
const rawFlood = ({ row, name, connections, to = ({ url }) => url, stream }: RawFlood): MeasuredAttack => ({
  row,
  name,
  async run(at, roundMs) {
    const endMs = performance.now() + roundMs;
    const { head, unit } = stream();
    const unitBytes = Buffer.byteLength(unit);
    const perWrite = Math.max(1, Math.floor(writeBytes / unitBytes));
    const block = Buffer.concat(Array.from({ length: perWrite }, () => Buffer.from(unit)));
    let bytes = 0;
    const worker = async () => {
      while (performance.now() < endMs) {
        const socket = await open(to(at)).catch(() => undefined);
        if (socket) {
          if (head !== undefined) await untilAnswered(socket, head);
          bytes += await pump(socket, block, endMs);
          socket.destroy();
        }
        await delay(redialMs);
      }
    };
    await Promise.all(Array.from({ length: connections }, worker));
    return Math.round(bytes / unitBytes);
  },
});

/** Reads and drops what comes: a server that waits for its reader would be spared. */
function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      localAddress,
      onread: {
        buffer: Buffer.alloc(writeBytes),
        callback: (count) => {
          socket.emit("heard", count);
          return true;
        },
      },
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** A head that asks for an upgrade is answered before frames may follow; any other is only the start of the stream. */
async function untilAnswered(socket: Socket, head: string): Promise<void> {
  socket.write(head);
  if (!head.includes("Upgrade: websocket")) return;
  await new Promise<void>((resolve) => {
    socket.once("heard", () => resolve());
    socket.once("close", () => resolve());
  });
}

/** Writes `block` again and again until `endMs`, or until the connection ends. @returns the bytes that the kernel took. */
function pump(socket: Socket, block: Buffer, endMs: number): Promise<number> {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, Math.max(0, endMs - performance.now()));
    socket.once("close", finish);
    socket.on("drain", write);
    write();

    function write(): void {
      while (performance.now() < endMs && socket.writable) if (!socket.write(block)) return;
    }

    function finish(): void {
      clearTimeout(timer);
      resolve(Math.max(0, socket.bytesWritten - socket.writableLength));
    }
  });
}

const get = "GET /healthz HTTP/1.1\r\nhost: shop\r\n\r\n";
const preflight =
  "OPTIONS /rpc/batch HTTP/1.1\r\nhost: shop\r\norigin: https://shop.example\r\naccess-control-request-method: POST\r\n\r\n";
const chunkedTo = (path: string) => `POST ${path} HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n`;
const chunk = "1\r\nx\r\n";
const upgrade = upgradeRequest(["Sec-WebSocket-Protocol: flotilla.v1"]);

/** Opcodes of RFC 6455. */
const text = 1;
const ping = 9;
const pong = 10;

/** A client's frame, masked with zeros, so that one Buffer serves every connection. */
function frame(opcode: number, payload = ""): Buffer {
  const body = Buffer.from(payload);
  const head =
    body.length < 126
      ? Buffer.from([0x80 | opcode, 0x80 | body.length])
      : body.length < 65_536
        ? Buffer.from([0x80 | opcode, 0x80 | 126, body.length >> 8, body.length & 255])
        : Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | 127, 0, 0, 0, 0]), uint32(body.length)]);
  return Buffer.concat([head, Buffer.alloc(4), body]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Just below the frame limit of 256 KiB: 2,800 lines. */
const contextLines = Array.from(
  { length: 2_800 },
  () => `{"tp":"00-${"a".repeat(32)}-${"b".repeat(16)}-01","ms":1000,"via":[]}`,
).join("\n");

/** One call between 260,000 chunks of one blank each: a legal body of 260 KB. */
function chunkedBatch(): string {
  const blanks = "1\r\n \r\n".repeat(260_000 - 100);
  const lines = '["push",["pipeline",0,["listUsers"],["x"]]]\n["pull",1]\n';
  return `${chunkedTo("/rpc/batch")}${blanks}${lines.length.toString(16)}\r\n${lines}\r\n0\r\n\r\n`;
}

/** A hello of the right shape, with a signature that is none. */
function unsignedHello(): string {
  const random = (bytes: number) => randomBytes(bytes).toString("base64url");
  const statement = { from: "gateway", to: "users", instance: random(12), nonce: random(18), atMs: Date.now() };
  const hello = `${Buffer.from(JSON.stringify(statement)).toString("base64url")}.${random(64)}`;
  return `POST /rpc/batch HTTP/1.1\r\nhost: shop\r\nflotilla-hello: ${hello}\r\ncontent-length: 0\r\n\r\n`;
}

const onOneAndEight = (row: string, name: string, stream: () => Stream) =>
  [1, 8].map((connections) =>
    rawFlood({ row, name: `${name}, ${connections} connection${connections > 1 ? "s" : ""}`, connections, stream }),
  );

/** One write of a session: so many calls, and the release of those written `heldFrames` writes before. */
const callsPerFrame = 20;
const frameEveryMs = 20;
const heldFrames = 10;
/** More than the longest round needs. */
const framesMax = 1_500;

/** Every session writes the same frames, because ids are each session's own. */
function callFrames(): Buffer[] {
  return Array.from({ length: framesMax }, (_, number) => {
    const lines: string[] = [];
    for (let n = 1; n <= callsPerFrame; n += 1) {
      const id = number * callsPerFrame + n;
      lines.push(`["push",["pipeline",0,["listUsers"],["x"]]]`, `["pull",${id}]`);
      if (number >= heldFrames) lines.push(`["release",${id - heldFrames * callsPerFrame},1]`);
    }
    return frame(text, lines.join("\n"));
  });
}

/** A session that the kernel takes no more of keeps what it has to write, up to this. Bytes. */
const unwrittenBytesMax = 64 * 1024;
const manySessions = 200;

/** 1,000 calls and 3,000 messages a second each: a third of what a session may send. Counts calls. */
const sessionsBelowTheirLimits: MeasuredAttack = {
  row: "R21",
  name: `${manySessions} sessions of one address, each below its limits`,
  async run(at, roundMs) {
    const frames = callFrames();
    const endMs = performance.now() + roundMs;
    let written = 0;
    const sessions: { socket: Socket; next: number }[] = [];
    const openOne = async () => {
      const socket = await open(at.url).catch(() => undefined);
      if (!socket) return;
      await untilAnswered(socket, upgrade);
      sessions.push({ socket, next: 0 });
    };
    await Promise.all(Array.from({ length: manySessions }, openOne));
    while (performance.now() < endMs) {
      const dueMs = performance.now() + frameEveryMs;
      const lost: Promise<void>[] = [];
      for (const session of [...sessions]) {
        const { socket } = session;
        if (socket.destroyed || !socket.writable) {
          sessions.splice(sessions.indexOf(session), 1);
          lost.push(openOne());
        } else if (socket.writableLength < unwrittenBytesMax && session.next < frames.length) {
          socket.write(frames[session.next]!);
          session.next += 1;
          written += callsPerFrame;
        }
      }
      await Promise.race([Promise.all(lost), delay(frameEveryMs)]);
      await delay(Math.max(0, dueMs - performance.now()));
    }
    for (const { socket } of sessions) socket.destroy();
    return written;
  },
};

const sessionsPerAccount = 50;
const accountCallsAtOnce = 4;

/** Three accounts in as many sessions as each may have, which stay for all rounds of the row. Counts accounts obtained. */
function capabilitiesNeverReleased(): MeasuredAttack {
  let peers: { peer: HostilePeer; token: string }[] = [];
  return {
    row: "R22",
    name: "account() on 50 sessions of each of three accounts, never released",
    async run(at, roundMs) {
      const endMs = performance.now() + roundMs;
      const openOne = async (token: string) => {
        const peer = await dial(at.url, { framing: "flotilla.v1", localAddress });
        peer.socket.on("error", () => {});
        peers.push({ peer, token });
      };
      if (peers.length === 0) {
        const tokens = at.tokens.flatMap((token) => Array.from({ length: sessionsPerAccount }, () => token));
        await Promise.all(tokens.map(openOne));
      }
      let obtained = 0;
      const worker = async ({ peer, token }: { peer: HostilePeer; token: string }) => {
        while (performance.now() < endMs) {
          const answer = await peer.answer(peer.call("account", [token])).catch(() => undefined);
          if (!answer) return;
          if (answer[0] === "resolve") obtained += 1;
        }
      };
      const work = peers.flatMap((session) => Array.from({ length: accountCallsAtOnce }, () => worker(session)));
      await Promise.race([Promise.all(work), delay(roundMs)]);
      return obtained;
    },
    end() {
      for (const { peer } of peers) peer[Symbol.dispose]();
      peers = [];
    },
  };
}

const requests =
  ({ unit, ...more }: Stream): (() => Stream) =>
  () => ({ unit, ...more });

export const rawFloods: readonly MeasuredAttack[] = [
  ...onOneAndEight("R17", "pipelined GET /healthz", requests({ unit: get })),
  ...onOneAndEight("R17", "pipelined OPTIONS /rpc/batch", requests({ unit: preflight })),
  ...onOneAndEight(
    "R18",
    "one-byte chunks of a body that nobody reads",
    requests({ head: chunkedTo("/healthz"), unit: chunk }),
  ),
  ...[2, 64].map((connections) =>
    rawFlood({
      row: "R19",
      name: `a legal batch of 260 KB in one-byte chunks, ${connections} connections`,
      connections,
      stream: () => ({ unit: chunkedBatch() }),
    }),
  ),
  ...(["pings", "pongs"] as const).map((name) =>
    rawFlood({
      row: "R20",
      name: `WebSocket ${name}, 64 connections`,
      connections: 64,
      stream: () => ({ head: upgrade, unit: frame(name === "pings" ? ping : pong) }),
    }),
  ),
  rawFlood({
    row: "R20",
    name: "frames of context lines without a message, 8 connections",
    connections: 8,
    stream: () => ({ head: upgrade, unit: frame(text, contextLines) }),
  }),
  sessionsBelowTheirLimits,
  capabilitiesNeverReleased(),
  rawFlood({
    row: "R23",
    name: "unsigned hellos at the User Service, 8 connections",
    connections: 8,
    to: ({ usersUrl }) => usersUrl,
    stream: () => ({ unit: unsignedHello() }),
  }),
];
