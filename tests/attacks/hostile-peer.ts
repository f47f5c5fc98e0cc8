// An attacker without any code of the kit or of capnweb: raw frames over WebSocket and batch.
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { WebSocket } from "ws";
import { inTime, post } from "./hostile-http.ts";

export type Message = readonly unknown[];

export interface DialOptions {
  /** `flotilla.v1`: lines joined in frames; otherwise a message per frame. */
  readonly framing?: "capnweb" | "flotilla.v1";
  readonly headers?: Record<string, string>;
  readonly localAddress?: string | undefined;
  /** Takes what the server sends off the wire, and looks at none of it. */
  readonly isDeaf?: boolean;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface HostilePeer extends Disposable {
  readonly socket: WebSocket;
  /** The TCP connection below, for a peer that stops reading. */
  readonly tcp: Socket;
  /** Every message that the server sent. */
  readonly heard: readonly Message[];
  /** The run of the service that answered, by its reply to a hello. */
  readonly instance: string;
  send(...messages: readonly Message[]): void;
  /** One frame as it is. */
  sendFrame(frame: string | Buffer): void;
  /** Calls a method of the main object and asks for the result. @returns the id of the call. */
  call(method: string, args: readonly unknown[]): number;
  /** Takes the next id for a call that the caller writes itself. */
  takeId(): number;
  /** The `resolve` or `reject` of a call. Rejects when the session ends before. */
  answer(id: number): Promise<Message>;
  /** Resolves when the server ended the session. */
  readonly closed: Promise<Closed>;
}

/** Opens a session. Rejects with `refused: STATUS` when the upgrade is. */
export async function dial(url: string, options: DialOptions = {}): Promise<HostilePeer> {
  const { framing = "capnweb", headers = {}, localAddress, isDeaf = false } = options;
  const protocols = framing === "capnweb" ? [] : [framing];
  const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`, protocols, {
    headers,
    localAddress,
    perMessageDeflate: false,
  });
  const heard: Message[] = [];
  let wake = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<Closed>();
  let isClosed = false;
  let lastId = 0;
  let instance = "";
  socket.on("message", (data) => {
    if (isDeaf) return;
    for (const line of data.toString().split("\n")) {
      if (!line.startsWith("{")) heard.push(JSON.parse(line) as Message);
    }
    wake.resolve();
    wake = Promise.withResolvers();
  });
  socket.on("upgrade", (response) => {
    instance = instanceIn(response.headers["flotilla-reply"]);
  });
  socket.once("close", (code, reason) => {
    isClosed = true;
    closed.resolve({ code, reason: reason.toString() });
    wake.resolve();
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      reject(new Error(`refused: ${response.statusCode}`));
      response.resume();
      socket.terminate();
    });
    socket.on("error", reject);
  });

  const peer: HostilePeer = {
    socket,
    tcp: (socket as unknown as { readonly _socket: Socket })._socket,
    heard,
    get instance() {
      return instance;
    },
    send(...messages) {
      const lines = messages.map((message) => JSON.stringify(message));
      if (framing === "flotilla.v1") socket.send(lines.join("\n"));
      else for (const line of lines) socket.send(line);
    },
    sendFrame: (frame) => socket.send(frame),
    call(method, args) {
      const id = peer.takeId();
      peer.send(["push", ["pipeline", 0, [method], args]], ["pull", id]);
      return id;
    },
    takeId() {
      lastId += 1;
      return lastId;
    },
    async answer(id) {
      for (;;) {
        const found = heard.find(([kind, of]) => (kind === "resolve" || kind === "reject") && of === id);
        if (found) return found;
        if (isClosed)
          throw new Error(`the session ended before call ${id} was answered: ${JSON.stringify(heard.at(-1))}`);
        await wake.promise;
      }
    },
    closed: closed.promise,
    [Symbol.dispose]: () => socket.terminate(),
  };
  return peer;
}

/** How an exchange ended, over whichever transport. */
export interface Outcome {
  /** All that the server said. */
  readonly heard: readonly Message[];
  /** The code with which it refused everything: of the abort, of the close, or of the HTTP answer. */
  readonly ended: string | undefined;
  readonly status: number | undefined;
}

/** One way to reach a service: sends the lines of one session, and waits until each pull is answered or all is over. */
export interface Door {
  readonly name: string;
  exchange(lines: readonly (string | Message)[]): Promise<Outcome>;
}

export interface DoorOptions {
  /** Asked for each session; a hello is good once. */
  headers?(): Record<string, string>;
}

/** The doors of one service: a stock WebSocket, one with our framing, and the batch. */
export function doorsOf(name: string, url: string, { headers = () => ({}) }: DoorOptions = {}): Door[] {
  const overWebSocket = (framing: "capnweb" | "flotilla.v1"): Door => ({
    name: `${name} over WebSocket (${framing})`,
    async exchange(lines) {
      using peer = await dial(url, { framing, headers: headers() });
      const texts = lines.map(textOf);
      // In one write: what is held by all of them together counts only while the first is not yet answered.
      peer.tcp.cork();
      for (const frame of framing === "capnweb" ? texts : [texts.join("\n")]) peer.sendFrame(frame);
      peer.tcp.uncork();
      const answers = Promise.all(pullsIn(texts).map((id) => peer.answer(id))).catch(() => peer.closed);
      await inTime(Promise.race([peer.closed, pullsIn(texts).length > 0 ? answers : peer.closed]), lines);
      return { heard: [...peer.heard], ended: await endOf(peer), status: undefined };
    },
  });
  const batch: Door = {
    name: `${name} over batch`,
    async exchange(lines) {
      const { status, text } = await inTime(
        post(`${url}/rpc/batch`, { headers: headers(), body: lines.map(textOf).join("\n") }),
        lines,
      );
      if (status === 200) return { heard: messagesIn(text), ended: undefined, status };
      return { heard: [], ended: (JSON.parse(text) as { code: string }).code, status };
    },
  };
  return [overWebSocket("capnweb"), overWebSocket("flotilla.v1"), batch];
}

/** The code of the abort, or of the close; undefined while the session goes on. */
async function endOf(peer: HostilePeer): Promise<string | undefined> {
  const abort = peer.heard.find(([kind]) => kind === "abort");
  if (abort) return errorOf(abort)?.code;
  if (peer.socket.readyState === WebSocket.OPEN) return undefined;
  return (await peer.closed).reason;
}

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The error in a `reject` or `abort`; undefined in anything else. */
export function errorOf(message: Message | undefined): WireError | undefined {
  const [kind] = message ?? [];
  if (kind !== "reject" && kind !== "abort") return undefined;
  const [tag, code, text, , fields] = message!.at(-1) as [string, string, string, null, Record<string, unknown>];
  if (tag !== "error") throw new Error(`not an error: ${JSON.stringify(message).slice(0, 200)}`);
  return { code, message: text, fields: fields ?? {} };
}

/** One call of the main object, as the lines of a session. */
export function callOf(method: string, args: readonly unknown[], id = 1): Message[] {
  return [
    ["push", ["pipeline", 0, [method], args]],
    ["pull", id],
  ];
}

/** An array is written as an array in an array, because the bare ones are expressions. */
export function list(...items: readonly unknown[]): unknown[] {
  return [items];
}

/** What is not JSON to `JSON.stringify`, such as `-0` or a key twice: put into the text in place of its mark. */
export function withRaw(message: Message, raw: Readonly<Record<string, string>>): string {
  let text = JSON.stringify(message);
  for (const [mark, value] of Object.entries(raw)) text = text.replaceAll(JSON.stringify(mark), () => value);
  return text;
}

function instanceIn(reply: string | string[] | undefined): string {
  if (typeof reply !== "string") return "";
  const [payload = ""] = reply.split(".");
  return (JSON.parse(Buffer.from(payload, "base64url").toString()) as { instance: string }).instance;
}

function textOf(line: string | Message): string {
  return typeof line === "string" ? line : JSON.stringify(line);
}

function pullsIn(texts: readonly string[]): number[] {
  return texts.flatMap((text) => {
    const id = /^\["pull",(\d{1,6})\]$/.exec(text)?.[1];
    return id === undefined ? [] : [Number(id)];
  });
}

function messagesIn(text: string): Message[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Message);
}
