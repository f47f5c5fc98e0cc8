import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { edgeLimits, errorCodes } from "@flotilla/kit";
import { WebSocket } from "ws";
import type { ServiceName } from "../../shop/topology.ts";
import type { FuzzCase } from "./fuzz-cases.ts";
import { crowdedAddress, type FuzzShop, inTime } from "./fuzz-shop.ts";
import { takesNumber } from "./grammar.ts";

/** Beyond it nothing ever comes: calls end after 10 s by themselves, batches a little later. Milliseconds. */
const answerMsMax = 13_000;
const errorFields = new Set(["code", "retryable", "reason", "requestId", "retryAfterMs"]);
const looksLikeStack = /\bat (?:\S+ \()?(?:file:|node:|\/)[^"\s]*:\d+:\d+|\\n\s+at /;

/** Answers a batch gives that a service's own fault would explain, and nothing that a client sends should cause. */
const faultStatuses: ReadonlySet<number> = new Set([500, 502, 504]);

/**
 * Runs one case against the shop, to its end: the session ended, or answered a probe. Throws what should not have been:
 * no end within the deadline, an answer that is no coded error or holds what must not leave.
 */
export async function runCase(shop: FuzzShop, it: FuzzCase, onInternal: OnInternal): Promise<void> {
  if (it.target === "gateway" || it.target === "batch") await mayBegin();
  const expanded = shop.expand(it.lines);
  const lines = it.isCrowded ? [...expanded, ...guessLines(idsIn(expanded, it.framing).calls + 1)] : expanded;
  const check = (line: string) => {
    if (line.includes('"rate_limited"')) shop.countLimited();
    return checkLine(line, shop.canaries, onInternal);
  };
  if (it.target === "batch") await runBatchCase(shop, { it, lines, check });
  else await runSessionCase(shop, { it, lines, check });
}

/** An address begins so many sessions and batches a second; a case that were refused for that would try nothing. */
const begunEveryMs = 1_000 / (0.9 * edgeLimits.sessionsPerSecondMax);
let nextAtMs = 0;

async function mayBegin(): Promise<void> {
  const nowMs = performance.now();
  nextAtMs = Math.max(nextAtMs + begunEveryMs, nowMs);
  if (nextAtMs > nowMs) await delay(nextAtMs - nowMs);
}

/** An answer that should not have been given: the fault of the case that it was given to, and of no other. */
export class BadAnswer extends Error {}

/** Hears of answers with which a service admits a fault of its own; may throw. */
export type OnInternal = (line: string) => void;

interface Run {
  readonly it: FuzzCase;
  readonly lines: readonly string[];
  /** @returns the id of the call that the line answers, if it is an answer. */
  readonly check: (line: string) => number | undefined;
}

async function runSessionCase(shop: FuzzShop, { it, lines, check }: Run): Promise<void> {
  const service = it.target as ServiceName;
  const headers = service === "gateway" ? {} : shop.hello(it.as, service);
  const protocols = it.framing === "capnweb" ? [] : [it.framing];
  const socket = new WebSocket(`${shop.urls[service].replace("http", "ws")}/rpc`, protocols, {
    headers,
    localAddress: it.isCrowded ? crowdedAddress : undefined,
    perMessageDeflate: false,
  });
  const over = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  let wanted: ReadonlySet<number> = new Set();
  const settled = new Set<number>();
  socket.on("message", (data) => {
    try {
      for (const line of data.toString().split("\n")) {
        const id = check(line);
        if (id !== undefined) settled.add(id);
      }
      if (wanted.size > 0 && wanted.isSubsetOf(settled)) answered.resolve();
    } catch (leak) {
      answered.reject(leak);
    }
  });
  socket.once("close", over.resolve);
  answered.promise.catch(() => {});
  try {
    await inTime(opened(socket), answerMsMax, "no session was opened");
    const frames = framesOf(lines, it);
    for (const frame of frames) socket.send(frame);
    if (it.ending !== "cut") {
      const { calls, awaited } = idsIn(frames, it.framing);
      wanted = new Set([calls + 1, ...(it.ending === "wait" ? awaited : [])]);
      for (const line of probeLines(calls + 1)) socket.send(line);
      await inTime(Promise.race([over.promise, answered.promise]), answerMsMax, "neither an answer nor an end");
    }
  } finally {
    if (it.ending === "close") socket.close(1000);
    else socket.terminate();
    await inTime(over.promise, answerMsMax, "the connection did not close");
  }
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.on("error", reject);
  });
}

function framesOf(lines: readonly string[], { framing, linesPerFrame }: FuzzCase): string[] {
  if (framing === "capnweb") return [...lines];
  const frames: string[] = [];
  for (let at = 0; at < lines.length; at += linesPerFrame) frames.push(lines.slice(at, at + linesPerFrame).join("\n"));
  return frames;
}

/** A call of a method that nobody has: answered at once by whoever still listens. */
function probeLines(id: number): string[] {
  return ['["push",["pipeline",0,["fuzzProbe"],[]]]', `["pull",${id}]`];
}

/** One more log-in from where there were too many. */
function guessLines(id: number): string[] {
  return [`["push",["pipeline",0,["login"],["bob","guess"]]]`, `["pull",${id}]`];
}

/** How many calls a peer counted that took all of these, and which of them it owes an answer. */
function idsIn(
  frames: readonly string[],
  framing: FuzzCase["framing"],
): { calls: number; awaited: ReadonlySet<number> } {
  const lines = framing === "capnweb" ? frames : frames.flatMap((frame) => frame.split("\n"));
  const awaited = new Set<number>();
  let calls = 0;
  for (const line of lines) {
    const [operation, id] = messageOf(line);
    if (takesNumber(operation)) calls += 1;
    if (operation === "call") awaited.add(calls);
    else if (operation === "pull") awaited.add(id as number);
    // What was let go of need not be answered.
    else if (operation === "release") for (const one of [id].flat()) awaited.delete(one as number);
  }
  return { calls, awaited };
}

function messageOf(line: string): readonly unknown[] {
  try {
    const message: unknown = JSON.parse(line);
    return Array.isArray(message) ? message : [];
  } catch {
    return [];
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

async function runBatchCase(shop: FuzzShop, { it, lines, check }: Run): Promise<void> {
  const body = Buffer.from(lines.join("\n"));
  const post = request(`${shop.urls.gateway}/rpc/batch`, {
    agent,
    method: "POST",
    localAddress: it.isCrowded ? crowdedAddress : undefined,
    headers: { "flotilla-timeout-ms": it.timeoutMs, "content-length": body.length },
  });
  const closed = new Promise<void>((resolve) => post.once("close", resolve));
  const answer = new Promise<{ status: number; text: string }>((resolve, reject) => {
    post.once("error", reject);
    post.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.once("error", reject);
    });
  });
  answer.catch(() => {});
  post.end(body);
  if (it.ending === "cut") {
    post.destroy();
    await closed;
    return;
  }
  const { status, text } = await inTime(answer, answerMsMax, "the batch was not answered").catch((error: unknown) => {
    // A body above the limit is refused before it was read, and its connection ends; a client may see only that.
    if (body.length > 256 * 1024 && error instanceof Error && "code" in error) return { status: 413, text: "" };
    throw error;
  });
  if (text.includes('"session_rate"')) throw new Error("the case was refused for the rate, and tried nothing");
  if (faultStatuses.has(status)) throw new BadAnswer(`the batch was answered ${status}: ${text}`);
  for (const line of text.split("\n").filter((part) => part !== "")) check(line);
}

function checkLine(line: string, canaries: readonly string[], onInternal: OnInternal): number | undefined {
  if (looksLikeStack.test(line)) throw new BadAnswer(`a stack was sent: ${line.slice(0, 500)}`);
  const found = canaries.find((canary) => line.includes(canary));
  if (found) throw new BadAnswer(`what must not leave was sent (${found.slice(0, 12)}…): ${line.slice(0, 500)}`);
  const [operation, id, error] = messageOf(line);
  if (operation === "reject") checkError(error, line, onInternal);
  else if (operation === "abort") checkError(id, line, onInternal);
  return operation === "resolve" || operation === "reject" ? (id as number) : undefined;
}

/** `["error", CODE, MESSAGE, null, FIELDS]` and nothing else. */
function checkError(error: unknown, line: string, onInternal: OnInternal): void {
  const [tag, name, message, stack, fields] = Array.isArray(error) ? (error as unknown[]) : [];
  const isCoded =
    tag === "error" && Object.hasOwn(errorCodes, String(name)) && typeof message === "string" && stack === null;
  const extra = Object.keys(fields ?? {}).filter((key) => !errorFields.has(key));
  if (!isCoded || extra.length > 0) throw new BadAnswer(`not a coded error: ${line.slice(0, 500)}`);
  if (name === "internal") onInternal(line);
}
