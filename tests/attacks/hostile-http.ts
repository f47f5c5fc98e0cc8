// Raw HTTP, raw TCP and the headers of a thief, for the attacker; without any code of the kit.
import { createPrivateKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** What any honest server answers within; then the attack has made it hang. Milliseconds. */
const answerMsMax = 12_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Posted {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** Where it comes from; Linux takes any address of 127.0.0.0/8. */
  readonly localAddress?: string | undefined;
}

/** A server that reads no further answers and closes; whoever is still writing then may lose the answer. */
const cutOff: ReadonlySet<unknown> = new Set(["EPIPE", "ECONNRESET"]);
/** Bytes that no socket takes at once. */
const largeFrom = 64 * 1024;
const triesMax = 5;

/** One HTTP request on a connection of its own; a large one is made anew when its answer was lost. */
export async function post(url: string, posted: Posted = {}): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await postOnce(url, posted);
    } catch (error) {
      const isLost = cutOff.has((error as NodeJS.ErrnoException).code) && (posted.body?.length ?? 0) >= largeFrom;
      if (!isLost || tries === triesMax) throw error;
    }
  }
}

function postOnce(url: string, { method = "POST", headers = {}, body = "", localAddress }: Posted): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false, localAddress }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

export interface RawConnection extends Disposable {
  write(bytes: string | Buffer): void;
  /** All that came, when the other side has ended it. */
  readonly ended: Promise<string>;
}

/** A TCP connection that keeps its own side open: the server has to end it. */
export async function dialTcp(url: string, options: DialTcpOptions = {}): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const { localAddress } = options;
  const socket = connectTcp({ host: hostname, port: Number(port), allowHalfOpen: true, localAddress });
  const ended = Promise.withResolvers<string>();
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (part: string) => {
    text += part;
    options.onText?.(text);
  });
  socket.on("error", () => {});
  socket.once("end", () => socket.destroy());
  socket.once("close", () => ended.resolve(text));
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return {
    write: (bytes) => void (socket.writable && socket.write(bytes)),
    ended: ended.promise,
    [Symbol.dispose]: () => socket.destroy(),
  };
}

export interface DialTcpOptions {
  readonly localAddress?: string | undefined;
  onText?(text: string): void;
}

/** Sends `bytes` as they are; resolves with all that comes back when the server has ended the connection. */
export async function sendRaw(url: string, bytes: string | Buffer): Promise<string> {
  using connection = await dialTcp(url);
  connection.write(bytes);
  return await inTime(connection.ended, ["raw bytes"]);
}

/** The hello of `from` to `to`, signed with its stolen key as docs/protocol.md says. Good for one session. */
export function stolenHello(dataDir: string, from: string, to: string): Record<string, string> {
  return helloSignedBy(createPrivateKey(readFileSync(join(dataDir, "keys", `${from}.key`))), from, to);
}

/** The same with whatever key. */
export function helloSignedBy(key: KeyObject, from: string, to: string): Record<string, string> {
  const nonce = randomBytes(18).toString("base64url");
  const statement = { from, to, instance: "hostile-peer-001", nonce, atMs: Date.now() };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64url");
  const signature = sign(null, Buffer.from(`flotilla hello v1\n${payload}`), key).toString("base64url");
  return { "flotilla-hello": `${payload}.${signature}` };
}

export async function inTime<T>(work: Promise<T>, what: readonly unknown[]): Promise<T> {
  const late = new AbortController();
  const tooLate = delay(answerMsMax, undefined, { signal: late.signal }).then(() => {
    throw new Error(`no answer within ${answerMsMax} ms to ${JSON.stringify(what).slice(0, 200)}`);
  });
  tooLate.catch(() => {});
  return await Promise.race([work, tooLate]).finally(() => late.abort());
}
