// The adversary's hands: raw TCP, raw HTTP and hand-made WebSocket frames, of nothing but Node's standard library.
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface Port {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Something that an attacker should not have been able to do or see. */
export class Finding extends Error {}

/** An answer that takes longer is none. Milliseconds. */
export const answerMsMax = 2_000;

const secrets: readonly (readonly [string, RegExp])[] = [
  ["a stack", /\bat (?:\S+ \()?(?:file:|node:|\/|[A-Z]:\\)[^\s"]*:\d+:\d+|\\n\s+at /],
  ["a file path", /file:\/\/|node_modules|\/(?:home|root|usr|var|tmp|work|app|opt)\/[\w.-]+/],
  ["a password hash", /\$argon2/],
  ["a private key", /PRIVATE KEY/],
  ["an error of the system or a driver", /\bSQLITE_|\bE(?:CONNREFUSED|ADDRINUSE|NOENT|PIPE)\b|node:internal/],
];

/** @throws Finding when `text`, which a service sent, holds what must not leave it. */
export function inspect(text: string): string {
  for (const [what, pattern] of secrets) {
    const found = pattern.exec(text);
    if (found)
      throw new Finding(`an answer holds ${what}: ${text.slice(Math.max(0, found.index - 100), found.index + 200)}`);
  }
  return text;
}

/** A connection that notes what it is sent and never throws: whatever the other side does to it is an answer. */
export interface Wire {
  readonly socket: Socket;
  /** False when it was refused or is over. */
  readonly isOpen: boolean;
  send(data: string | Uint8Array): void;
  /** All that came so far. */
  heard(): Buffer;
  /** Resolves when `done` says so of what came, the connection is over, or the time has passed. */
  until(done: (heard: Buffer) => boolean, msMax?: number): Promise<Buffer>;
  end(): void;
}

export async function dial({ host, port }: Port): Promise<Wire> {
  const chunks: Buffer[] = [];
  let wake = () => {};
  let isOpen = false;
  const socket = connect({ host, port, noDelay: true });
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    chunks.push(chunk);
    wake();
  });
  socket.on("close", () => {
    isOpen = false;
    wake();
  });
  socket.setTimeout(60_000, () => socket.destroy());
  await new Promise<void>((resolve) => {
    socket.once("connect", () => {
      isOpen = true;
      resolve();
    });
    socket.once("close", () => resolve());
  });
  return {
    socket,
    get isOpen() {
      return isOpen;
    },
    send(data) {
      if (isOpen && socket.writable) socket.write(data);
    },
    heard: () => Buffer.concat(chunks),
    async until(done, msMax = answerMsMax) {
      const endMs = performance.now() + msMax;
      for (;;) {
        const heard = Buffer.concat(chunks);
        const leftMs = endMs - performance.now();
        if (!isOpen || leftMs <= 0 || done(heard)) return heard;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, leftMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    end: () => socket.destroy(),
  };
}

/** Sends `request` as it is. @returns the answer, inspected; empty when there was none. */
export async function exchange(port: Port, request: string | Uint8Array, msMax?: number): Promise<string> {
  const wire = await dial(port);
  wire.send(request);
  const heard = await wire.until((so) => hasWholeAnswer(so.toString("latin1")), msMax);
  wire.end();
  return inspect(heard.toString("latin1"));
}

function hasWholeAnswer(text: string): boolean {
  const head = text.indexOf("\r\n\r\n");
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return head >= 0 && (length === undefined || text.length >= head + 4 + Number(length));
}

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

export function post(body: string, headers: readonly string[] = [], path = "/rpc/batch"): string {
  const lines = [`POST ${path} HTTP/1.1`, "Host: x", `Content-Length: ${Buffer.byteLength(body)}`, ...headers];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

export function get(path: string, headers: readonly string[] = []): string {
  return `${[`GET ${path} HTTP/1.1`, "Host: x", ...headers].join("\r\n")}\r\n\r\n`;
}

export function upgradeRequest(headers: readonly string[] = [], path = "/rpc"): string {
  const key = randomBytes(16).toString("base64");
  return get(path, [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    ...headers,
  ]);
}

/** A WebSocket session, or undefined when the upgrade was refused. */
export async function openSocket(port: Port, headers: readonly string[] = []): Promise<Wire | undefined> {
  const wire = await dial(port);
  wire.send(upgradeRequest(headers));
  const answer = await wire.until((so) => so.includes("\r\n\r\n"));
  if (statusOf(inspect(answer.toString("latin1"))) === 101) return wire;
  wire.end();
  return undefined;
}

export interface FrameShape {
  readonly opcode?: number;
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
  /** RSV1 to RSV3, as their bits: 0x40, 0x20, 0x10. */
  readonly reserved?: number;
  /** What the header says, whatever the payload is. */
  readonly declared?: bigint;
}

export function frame(payload: string | Uint8Array, shape: FrameShape = {}): Buffer {
  const { opcode = 1, isFinal = true, isMasked = true, reserved = 0 } = shape;
  const data = Buffer.from(payload);
  const length = shape.declared ?? BigInt(data.length);
  const mask = isMasked ? 0x80 : 0;
  const first = (isFinal ? 0x80 : 0) | reserved | opcode;
  let head: Buffer;
  if (length < 126n) head = Buffer.from([first, mask | Number(length)]);
  else if (length < 65_536n) {
    head = Buffer.from([first, mask | 126, 0, 0]);
    head.writeUInt16BE(Number(length), 2);
  } else {
    head = Buffer.alloc(10);
    head.set([first, mask | 127]);
    head.writeBigUInt64BE(BigInt.asUintN(64, length), 2);
  }
  if (!isMasked) return Buffer.concat([head, data]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, data.map((byte, at) => byte ^ key[at % 4]!)]);
}

/** Cap'n Web messages in `heard`, which begins with the 101 answer; other frames are left out. */
export function messagesIn(heard: Buffer): unknown[][] {
  const messages: unknown[][] = [];
  let at = heard.indexOf("\r\n\r\n") + 4;
  while (at + 2 <= heard.length) {
    const opcode = heard[at]! & 0x0f;
    const short = heard[at + 1]! & 0x7f;
    const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (at + headBytes > heard.length) break;
    const length =
      short === 126 ? heard.readUInt16BE(at + 2) : short === 127 ? Number(heard.readBigUInt64BE(at + 2)) : short;
    const payload = heard.subarray(at + headBytes, at + headBytes + length);
    at += headBytes + length;
    if (opcode === 1 && payload.length === length) messages.push(...linesOf(inspect(payload.toString())));
  }
  return messages;
}

export function linesOf(text: string): unknown[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("["))
    .map((line) => JSON.parse(line) as unknown[]);
}
