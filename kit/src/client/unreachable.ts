import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { type ErrorCode, FlotillaError, isErrorCode } from "../base/errors.ts";
import { isTraceId } from "../base/ids.ts";
import { networkFailure } from "./network-failure.ts";

/** A refusal of ours has at most 2 KB. A longer one is not ours, and is not read. Bytes. */
const refusalBytesMax = 4_096;
/** It follows its head at once. Milliseconds. */
const refusalMsMax = 1_000;

interface Why {
  /** Words of ours, without an address and without a peer's text: callers pass the message on to theirs. */
  readonly text?: string;
  readonly reason?: string | undefined;
  readonly requestId?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** What callers of the service `name` get while it is away. */
export function unreachable(name: string, { text, ...detail }: Why): FlotillaError {
  const message = `${name} cannot be reached${text === undefined ? "" : `: ${text}`}`;
  return new FlotillaError("unavailable", message, detail);
}

/** No HTTP answer came, or no proper one. @param isTls whether TLS was to be spoken. */
export function notAnswered(name: string, cause: Error, isTls: boolean): FlotillaError {
  return unreachable(name, { ...networkFailure(cause, isTls), cause });
}

/** The answer opened a session, but `name` did not sign it. */
export function notProven(name: string, hasReply: boolean, cause: unknown): FlotillaError {
  const text = hasReply
    ? `another service than ${name} answers at its address, or one with another key`
    : "who answers at its address proves nothing: it serves without an identity";
  return unreachable(name, { text, reason: "peer_unproven", cause });
}

/**
 * By status. SECURITY: `reason` is always a word of ours, because callers match on it and nobody has proven yet that
 * this answer is the peer's.
 */
const refusals: Readonly<Record<number, { readonly reason: string; readonly text: string }>> = {
  403: { reason: "permission_denied", text: "it grants us nothing" },
  404: { reason: "not_found", text: "it has no session path there" },
  426: {
    reason: "upgrade_required",
    text: "our request reached it without its Upgrade header: a proxy in between has to pass on Upgrade and Connection",
  },
};

/** Text for an answer without a code of ours, which no service of Flotilla gave. */
function foreignAnswer(status: number): string {
  if (status === 400) {
    return "what answers at its address calls the request malformed: it may expect TLS, and an address with https:";
  }
  if (status >= 300 && status < 400) return "what answers at its address redirects us: use the address behind it";
  if (status >= 502 && status <= 504) return "a proxy answers at its address, and cannot reach it";
  return status < 300 ? "something else than a service of Flotilla answers at its address" : "it refused the session";
}

/** The service answered the upgrade with something else; `hasKey` when we said hello. Never rejects. */
export async function refused(
  name: string,
  response: IncomingMessage,
  { hasKey, clock }: { hasKey: boolean; clock: Clock },
): Promise<FlotillaError> {
  const { code, reason: word, requestId, retryAfterMs } = parseRefusal(await readRefusal(response, clock));
  const status = response.statusCode ?? 0;
  const unauthenticated = hasKey
    ? `it refused our hello: it is another service than ${name}, or does not know our key`
    : "it serves only services that prove a key, so connect with `as`";
  const { text, reason } =
    status === 401
      ? { text: unauthenticated, reason: "unauthenticated" }
      : (refusals[status] ?? {
          text: code === undefined ? foreignAnswer(status) : "it refused the session",
          reason: code ?? "unexpected_answer",
        });
  const said = [`HTTP ${status}`, code, word].filter((part) => part !== undefined).join(", ");
  return unreachable(name, { text: `${text} (${said})`, reason, requestId, retryAfterMs });
}

/** The whole body, or nothing when it is too long, too slow or cut off. */
function readRefusal(response: IncomingMessage, clock: Clock): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const cancel = clock.after(refusalMsMax, () => end(""));
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > refusalBytesMax) end("");
      else chunks.push(chunk);
    });
    response.on("end", () => end(Buffer.concat(chunks).toString("utf8")));
    response.on("error", () => end(""));
    response.on("close", () => end(""));

    function end(text: string): void {
      cancel();
      response.destroy();
      resolve(text);
    }
  });
}

type Refusal = { code?: ErrorCode; reason?: string; requestId?: string; retryAfterMs?: number };

function parseRefusal(text: string): Refusal {
  try {
    const { code, reason, requestId, retryAfterMs } = JSON.parse(text) as Record<string, unknown>;
    return {
      ...(isErrorCode(code) && { code }),
      ...(isWord(reason) && { reason }),
      ...(isTraceId(requestId) && { requestId }),
      // What is none, `FlotillaError` leaves out.
      ...(typeof retryAfterMs === "number" && { retryAfterMs }),
    };
  } catch {
    return {};
  }
}

function isWord(value: unknown): value is string {
  return typeof value === "string" && /^[a-z][a-z0-9_]{0,63}$/.test(value);
}
