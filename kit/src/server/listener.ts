import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import { traceIdOf } from "./batch.ts";
import { answerRefusal } from "./http.ts";
import { type Intake, type Intakes, makeIntakes } from "./intake.ts";
import type { Proxies } from "./proxies.ts";

export interface ListenerOptions {
  /** Time for a client to send a whole request, headers and body (ms). */
  readonly receiveMsMax: number;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly proxies: Proxies;
  /** Hears of requests and connections that are refused here. */
  readonly onRefused?: ((reason: FlotillaError) => void) | undefined;
  /** Whether an offer to upgrade is one for the listener of `upgrade`. Default: every offer, if there is a listener. */
  readonly mayUpgrade?: (request: IncomingMessage) => boolean;
  onRequest(request: IncomingMessage, response: ServerResponse, intake: Intake): void;
}

/** node:http's server, with its connections metered before they are parsed. It doesn't listen yet. */
export function makeListener(options: ListenerOptions): { readonly http: HttpServer; readonly intakes: Intakes } {
  const { receiveMsMax, onRefused } = options;
  const intakes = makeIntakes(options);
  const http = createServer(
    {
      headersTimeout: receiveMsMax,
      requestTimeout: receiveMsMax,
      connectionsCheckingInterval: Math.ceil(receiveMsMax / 10),
      keepAliveTimeout: 65_000,
      requireHostHeader: false,
      ...(options.mayUpgrade && { shouldUpgradeCallback: options.mayUpgrade }),
    },
    onRequest,
  );
  http.on("connection", intakes.accept);
  // RFC 9110, 10.1.1: expectations that a server doesn't know may be ignored.
  http.on("checkExpectation", onRequest);
  return { http, intakes };

  /** SECURITY: gets every request, including those that node:http would answer by itself, uncharged. */
  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    try {
      const intake = intakes.begin(request.socket, request, response);
      if (!intake) return;
      assertHost(request);
      options.onRequest(request, response, intake);
    } catch (thrown) {
      const error = toFlotillaError(thrown, traceIdOf(request));
      onRefused?.(error);
      answerRefusal(response, error);
    }
  }
}

/** RFC 9112, 3.2. */
function assertHost({ headers, httpVersion }: IncomingMessage): void {
  if (headers.host === undefined && httpVersion === "1.1") {
    throw new FlotillaError("invalid_argument", "A request of HTTP/1.1 needs a Host header");
  }
}
