import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type ErrorCode, FlotillaError } from "../base/errors.ts";
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
  return reason === "body_too_large" ? 413 : statuses[code];
}

export function answerLines(response: ServerResponse, lines: string): void {
  answer(response, lines, { status: 200, type: "application/x-ndjson" });
}

export function answerJson(response: ServerResponse, status: number, body: object): void {
  answer(response, `${JSON.stringify(body)}\n`, { status, type: "application/json" });
}

/** What is refused, in an answer of its own: everything of `error` that a peer may know. */
export function answerRefusal(response: ServerResponse, error: FlotillaError): void {
  for (const [name, value] of Object.entries(waitHeaders(error))) {
    if (!response.headersSent) response.setHeader(name, value);
  }
  answerJson(response, httpStatus(error.code, error.reason), bodyOf(error));
}

function bodyOf({ code, message, reason, retryable, requestId, retryAfterMs }: FlotillaError): object {
  return { code, message, reason, retryable, requestId, retryAfterMs };
}

/** RFC 9110, 10.2.3: whole seconds. */
function waitHeaders({ retryAfterMs }: FlotillaError): Record<string, string> {
  return retryAfterMs === undefined ? {} : { "retry-after": `${Math.ceil(retryAfterMs / 1_000)}` };
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
  if (status >= 400 || hasUnreadBody(response)) Object.assign(headers, closing);
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
    `HTTP/1.1 ${httpStatus(error.code, error.reason)} ${error.code}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...Object.entries({ ...safeHeaders, ...waitHeaders(error) }).map(([name, value]) => `${name}: ${value}`),
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

export function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0] ?? "";
}
