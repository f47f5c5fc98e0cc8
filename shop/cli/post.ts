import { randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { CliError, fieldsOf } from "./cli-error.ts";
import { isCode } from "./exit-codes.ts";

/** Many times the longest answer of ours, a list of 1,000 orders. */
const answerBytesMax = 8 * 1024 * 1024;

export interface Post {
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly body?: string;
  /** Aborted when nobody waits any more; its reason is what this rejects with. */
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** By which the services' logs know the request. */
  readonly requestId: string;
}

/**
 * One HTTP request. By Node's own client, because its `fetch` takes longer to load than a command has.
 * @throws CliError `unavailable` when nobody answers, whose reason says whether anything was sent.
 */
export async function send({ url, method, body, signal, timeoutMs }: Post): Promise<Answer> {
  const requestId = randomBytes(16).toString("hex");
  const headers: Record<string, string> = {
    accept: "application/x-ndjson, application/json",
    traceparent: `00-${requestId}-${randomBytes(8).toString("hex")}-01`,
    ...(body !== undefined && { "content-type": "application/x-ndjson" }),
    ...(timeoutMs !== undefined && { "flotilla-timeout-ms": String(Math.min(Math.ceil(timeoutMs), 999_999)) }),
  };
  const request = url.protocol === "https:" ? (await import("node:https")).request : httpRequest;
  return await new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (response) => {
      read(response).then((text) => resolve({ status: response.statusCode ?? 0, text, requestId }), fail);
    });
    const onAbort = () => asked.destroy(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    asked.on("close", () => signal.removeEventListener("abort", onAbort));
    asked.on("error", fail);
    asked.end(body);

    function fail(error: Error): void {
      reject(signal.aborted ? signal.reason : notReached(url, error));
    }
  });
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`it answers more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Before a connection stands nothing was sent, so nothing can have happened. */
const unsent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

function notReached(url: URL, error: Error & { code?: string; errors?: readonly { code?: string }[] }): CliError {
  const code = error.code ?? error.errors?.[0]?.code ?? "";
  const why = plainWords[code] ?? error.message;
  return new CliError("unavailable", `The gateway at ${url.origin} cannot be reached: ${why}`, {
    ...(unsent.has(code) ? { reason: "not_sent", hint: startHint(url) } : { reason: "connection_lost" }),
    retryable: true,
    cause: error,
  });
}

/** For a gateway that nothing could be sent to: it is started here only when it belongs here. */
export function startHint({ hostname }: URL): string {
  return isLocal(hostname)
    ? "Start it with `npm start`, or say where it is with `--gateway URL`"
    : "Say where it is with `--gateway URL`, or have it started there";
}

/** Whether a URL's host is this machine. */
export function isLocal(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

const plainWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name cannot be looked up now",
  ECONNRESET: "it closed the connection",
  EPROTO: "it does not speak TLS",
};

/** Whether the answer is messages of Cap'n Web: another server's page may be a 200, too. */
export function isAnswered({ status, text }: Answer): boolean {
  return status === 200 && /^\s*(?:\[|$)/.test(text);
}

/** @returns the error for any other answer: the gateway's own coded refusal, or that it is no gateway of ours. */
export function refusalOf(url: URL, { status, text, requestId }: Answer): CliError {
  const refusal = parse(text);
  // A gateway asks no client for a key: only another service answers 401.
  if (status !== 401 && isCode(refusal.code) && typeof refusal.message === "string") {
    return new CliError(refusal.code, refusal.message, { ...fieldsOf(refusal), requestId });
  }
  const isProxy = status === 502 || status === 503 || status === 504;
  const what = isProxy ? "is away behind its proxy" : "is no gateway of Flotilla";
  return new CliError("unavailable", `${url.origin} ${what} (HTTP ${status})`, {
    reason: isProxy ? "connection_lost" : "not_a_gateway",
    retryable: isProxy,
    hint: isProxy ? "Try again later" : "Say where the gateway is with `--gateway URL`",
    requestId,
  });
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
