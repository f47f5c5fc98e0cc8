import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type ErrorCode, FlotillaError } from "../base/errors.ts";
import { encodingReason } from "./encodings.ts";
import { type CloseSocket, listenAtSocket } from "./unix-socket.ts";

const statuses: Readonly<Record<ErrorCode, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  failed_precondition: 409,
  resource_exhausted: 429,
  deadline_exceeded: 504,
  unavailable: 503,
  aborted: 409,
  unimplemented: 501,
  internal: 500,
};

/** Reasons for which HTTP has a status of its own. */
const statusesByReason: ReadonlyMap<string, number> = new Map([
  ["body_too_large", 413],
  [encodingReason, 415],
  ["method_not_allowed", 405],
  ["upgrade_required", 426],
]);

/** Answers are data for programs: no browser is to keep, show, frame, guess at or run them. */
const safeHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-site",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

const preflightHeaders = {
  "access-control-allow-methods": "POST",
  "access-control-allow-headers": "content-type, traceparent, flotilla-timeout-ms",
  "access-control-max-age": "600",
};

export function httpStatus(code: ErrorCode, reason?: string): number {
  return (reason !== undefined && statusesByReason.get(reason)) || statuses[code];
}

export function answerLines(response: ServerResponse, lines: string): void {
  answer(response, lines, { status: 200, type: "application/x-ndjson" });
}

export function answerJson(response: ServerResponse, status: number, body: object): void {
  answer(response, `${JSON.stringify(body)}\n`, { status, type: "application/json" });
}

/** What is refused, in an answer of its own: everything of `error` that a peer may know. */
export function answerRefusal(response: ServerResponse, error: FlotillaError): void {
  for (const [name, value] of Object.entries(detailHeaders(error))) {
    if (!response.headersSent) response.setHeader(name, value);
  }
  response.statusMessage = statusMessageOf(error);
  answerJson(response, httpStatus(error.code, error.reason), bodyOf(error));
}

/** A stock client of Cap'n Web shows the status line of a batch that is refused, and nothing else of the answer. */
function statusMessageOf({ code, reason, retryAfterMs }: FlotillaError): string {
  const why = reason === undefined ? code : `${code}, ${reason}`;
  return retryAfterMs === undefined ? why : `${why}, try again in ${retryAfterMs} ms`;
}

function bodyOf({ code, message, reason, retryable, requestId, retryAfterMs }: FlotillaError): object {
  return { code, message, reason, retryable, requestId, retryAfterMs };
}

/** RFC 9110: 10.2.3, whole seconds until another try; 15.5.16, the encodings that are taken. */
function detailHeaders({ retryAfterMs, reason }: FlotillaError): Record<string, string> {
  return {
    ...(retryAfterMs !== undefined && { "retry-after": `${Math.ceil(retryAfterMs / 1_000)}` }),
    ...(reason === encodingReason && { "accept-encoding": "identity" }),
  };
}

/**
 * Answers a request for a WebSocket session that came without an upgrade. The client may have asked for one: many proxies
 * pass `Upgrade` on only when they are told to.
 */
export function answerUpgradeRequired(response: ServerResponse, requestId: string): void {
  const message =
    "Sessions are WebSockets, and this request has no Upgrade header. If your client sent one, a proxy in between has " +
    "dropped it: let it pass on Upgrade and Connection over HTTP/1.1. One request is answered at POST /rpc/batch";
  response.setHeader("upgrade", "websocket");
  answerUnasked(response, new FlotillaError("invalid_argument", message, { reason: "upgrade_required", requestId }));
}

/** @param isPath whether anything is served at the path, by another method. */
export function answerUnserved(response: ServerResponse, isPath: boolean, requestId?: string): void {
  const error = isPath
    ? new FlotillaError("unimplemented", "Not with this method", { reason: "method_not_allowed", requestId })
    : new FlotillaError("not_found", "No such path", { requestId });
  answerUnasked(response, error);
}

/** The answer keeps HTTP's own status line: people ask for such paths too. */
function answerUnasked(response: ServerResponse, error: FlotillaError): void {
  answerJson(response, httpStatus(error.code, error.reason), bodyOf(error));
}

/** Lets a listed web page read the answer. SECURITY: that page by name, never `*`, and never with credentials. */
export function allowOrigin(response: ServerResponse, origin: string): void {
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("vary", "origin");
}

/** What a browser asks before it lets a page post. Without `allowOrigin` it hears nothing that lets it. */
export function answerPreflight(response: ServerResponse): void {
  const isAllowed = response.hasHeader("access-control-allow-origin");
  const headers = { ...safeHeaders, ...(isAllowed && preflightHeaders), ...(hasUnreadBody(response) && closing) };
  response.writeHead(204, headers).end();
}

/** Does nothing when the answer was begun, or the client is gone: a write then would be an error that nobody hears. */
export function answer(
  response: ServerResponse,
  text: string,
  { status, type }: { status: number; type: string },
): void {
  if (response.headersSent || response.destroyed) return;
  const headers = { "content-type": type, ...safeHeaders };
  if (status >= 400 || hasUnreadBody(response)) {
    Object.assign(headers, response.hasHeader("upgrade") ? { connection: "upgrade, close" } : closing);
  }
  response.writeHead(status, headers).end(text);
}

/** Ends the connection with the answer, so that what the client still sends isn't read. */
const closing = { connection: "close" };

function hasUnreadBody({ req: { headers, readableEnded } }: ServerResponse): boolean {
  return !readableEnded && (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0);
}

/** An upgrade that is refused gets a plain HTTP answer, and its socket is closed. */
export function refuseUpgrade(socket: Duplex, error: FlotillaError): void {
  const body = `${JSON.stringify(bodyOf(error))}\n`;
  const head = [
    `HTTP/1.1 ${httpStatus(error.code, error.reason)} ${statusMessageOf(error)}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...Object.entries({ ...safeHeaders, ...detailHeaders(error) }).map(([name, value]) => `${name}: ${value}`),
  ];
  // Nobody times this socket any more: a peer that never closes its side would keep it, and the server from closing.
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}

interface Places {
  readonly port: number;
  readonly host: string;
  readonly socketPath?: string | undefined;
}

/**
 * Listens at the port, and at the Unix socket when there is to be one.
 * @returns what closes the socket.
 * @throws FlotillaError `unavailable`, reason `port_in_use` or `cannot_listen`; then it listens nowhere.
 */
export async function listenAll(http: HttpServer, { port, host, socketPath }: Places): Promise<CloseSocket> {
  await listen(http, port, host);
  if (socketPath === undefined) return async () => {};
  try {
    return await listenAtSocket(http, socketPath);
  } catch (error) {
    http.close();
    throw error;
  }
}

/** @throws FlotillaError as `listenAll` does. */
export function listen(http: HttpServer, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      const message = isTaken ? `Port ${port} is in use by another program` : `Cannot listen on ${host}:${port}`;
      reject(
        new FlotillaError("unavailable", message, { reason: isTaken ? "port_in_use" : "cannot_listen", cause: error }),
      );
    };
    http.once("error", onError);
    http.listen(port, host, () => {
      http.off("error", onError);
      resolve();
    });
  });
}

/** The path of the request's target, also where that is a whole URL: RFC 9112, 3.2.2. */
export function pathOf({ url = "" }: IncomingMessage): string {
  const [path = ""] = url.replace(/^https?:\/\/[^/?#]*/i, "").split("?", 1);
  return path === "" ? "/" : path;
}
