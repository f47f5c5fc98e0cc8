import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { RpcTarget } from "capnweb";
import { WebSocketServer } from "ws";
import { type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import { newInstanceId } from "../base/ids.ts";
import { edgeLimits, type Limits, linkLimits } from "../base/limits.ts";
import { anonymous, type Peer, peerName } from "../base/peer.ts";
import type { CallerPolicy } from "../transport/envelope.ts";
import { makeWebSocketChannel, subprotocol } from "../transport/websocket.ts";
import { contextOfRequest, readBody, runBatch } from "./batch.ts";
import { type AcceptedHello, helloHeader, makeHelloGuard, replyHeader, replyTo, type Self } from "./hello.ts";
import { answerJson, httpStatus, refuseUpgrade } from "./http.ts";
import type { Identity } from "./identity.ts";
import type { OnHiddenError } from "./redact.ts";
import { openSession, type Session } from "./session.ts";

export interface ServeOptions {
  /** The service's name; with `identity`, the one its key stands for. */
  readonly name: string;
  /** This run of it: that of its `Home`. Default: a new one. */
  readonly instance?: string;
  /** What `peer` may call, or undefined to refuse it. Asked once per session; the session owns the answer. */
  main(peer: Peer): RpcTarget | undefined;
  /** With it, peers that prove a service's key are told apart; without it everybody is anonymous. */
  readonly identity?: Identity | undefined;
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Asked by `/readyz`. */
  isReady?(): boolean;
  readonly edge?: Limits;
  readonly link?: Limits;
  readonly clock?: Clock;
  readonly onHiddenError?: OnHiddenError | undefined;
  /** Hears every frame of every WebSocket session; for recordings in tests. */
  readonly onFrame?: ((peer: Peer, direction: "in" | "out", frame: string) => void) | undefined;
}

export interface Server {
  /** `http://host:port`, with the port that was really taken. */
  readonly url: string;
  /** Entries in the tables of the sessions that are open. */
  stats(): { sessions: number; imports: number; exports: number };
  /**
   * Graceful: turns unready, takes no new connections, answers the calls that are under way, then closes.
   * @param graceMs what is not answered by then is cut.
   */
  drain(graceMs?: number): Promise<void>;
}

const drainMsDefault = 5_000;

/** The same four paths on every service. */
const paths = { session: "/rpc", batch: "/rpc/batch", health: "/healthz", ready: "/readyz" } as const;

/**
 * Serves one service: HTTP batch at `POST /rpc/batch`, WebSocket at `/rpc`, `/healthz` and `/readyz`.
 *
 * @throws FlotillaError `unavailable`, reason `port_in_use`, when the port is taken.
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { host = "127.0.0.1", clock = systemClock } = options;
  const self: Self | undefined = options.identity && {
    identity: options.identity,
    instance: options.instance ?? newInstanceId(),
    clock,
  };
  const helloGuard = self && makeHelloGuard(self);
  const sessions = new Set<Session>();
  const batches = new Set<Promise<void>>();
  let isDraining = false;

  const http = createServer({ headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 65_000 }, onRequest);
  const edge = makeUpgrader(options.edge ?? edgeLimits);
  const link = makeUpgrader(options.link ?? linkLimits);
  http.on("upgrade", onUpgrade);
  await listen(http, options.port, host);
  const { port } = http.address() as AddressInfo;
  return { url: `http://${host}:${port}`, stats, drain };

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const path = pathOf(request);
    if (path === paths.batch && request.method === "POST") {
      const batch = answerBatch(request, response).finally(() => batches.delete(batch));
      batches.add(batch);
      return;
    }
    const isGet = request.method === "GET" || request.method === "HEAD";
    if (path === paths.health && isGet) answerJson(response, 200, { status: "ok", service: options.name });
    else if (path === paths.ready && isGet) answerReady(response);
    else if (!Object.values<string>(paths).includes(path)) {
      answerJson(response, 404, { code: "not_found", message: "No such path" });
    } else answerJson(response, 405, { code: "unimplemented", message: "Not with this method" });
  }

  function answerReady(response: ServerResponse): void {
    const isReady = !isDraining && (options.isReady?.() ?? true);
    const status = isReady ? "ready" : isDraining ? "draining" : "starting";
    answerJson(response, isReady ? 200 : 503, { status, service: options.name });
  }

  async function answerBatch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      const { peer } = admit(request);
      const localMain = mainFor(peer);
      const limits = limitsFor(peer);
      const callers = callersFor(peer);
      const context = contextOfRequest(request, callers, clock);
      const body = await readBody(request);
      const { onHiddenError } = options;
      const answer = await runBatch(body, {
        localMain,
        limits,
        callers,
        context,
        clock,
        onHiddenError,
        gone: gone.signal,
      });
      response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" }).end(answer);
    } catch (thrown) {
      const { code, message, reason, retryable, requestId } = toFlotillaError(thrown);
      answerJson(response, httpStatus(code, reason), { code, message, reason, retryable, requestId });
    }
  }

  function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    try {
      if (pathOf(request) !== paths.session)
        throw new FlotillaError("not_found", `WebSocket sessions are at ${paths.session}`);
      if (isDraining) throw new FlotillaError("unavailable", "The service is stopping");
      const { peer, hello } = admit(request);
      const localMain = mainFor(peer);
      const upgrader = peer.kind === "service" ? link : edge;
      if (self && hello) upgrader.replies.set(request, replyTo(hello, self));
      upgrader.server.handleUpgrade(request, socket, head, (webSocket) => {
        const session = openSession(makeWebSocketChannel(webSocket, clock), {
          localMain,
          limits: limitsFor(peer),
          callers: callersFor(peer),
          clock,
          onHiddenError: options.onHiddenError,
          onFrame: options.onFrame && ((direction, frame) => options.onFrame?.(peer, direction, frame)),
        });
        sessions.add(session);
        void session.closed.then(() => sessions.delete(session));
      });
    } catch (thrown) {
      refuseUpgrade(socket, toFlotillaError(thrown));
    }
  }

  /** Who asks: a service that proves it, or anonymous. A hello that proves nothing is refused, not downgraded. */
  function admit(request: IncomingMessage): { peer: Peer; hello?: AcceptedHello } {
    const header = request.headers[helloHeader];
    if (typeof header !== "string" || !helloGuard) return { peer: anonymous };
    const hello = helloGuard.accept(header);
    return { peer: hello.peer, hello };
  }

  function mainFor(peer: Peer): RpcTarget {
    const main = options.main(peer);
    if (main) return main;
    if (peer.kind === "anonymous")
      throw new FlotillaError("unauthenticated", "Only services with a key are served here");
    throw new FlotillaError("permission_denied", `${options.name} serves nothing to ${peer.name}`);
  }

  function limitsFor(peer: Peer): Limits {
    return peer.kind === "service" ? (options.link ?? linkLimits) : (options.edge ?? edgeLimits);
  }

  function callersFor(peer: Peer): CallerPolicy {
    const isService = peer.kind === "service";
    return { keepCallers: isService, peerName: isService ? peerName(peer) : undefined };
  }

  function stats(): { sessions: number; imports: number; exports: number } {
    const sum = { sessions: sessions.size, imports: 0, exports: 0 };
    for (const session of sessions) {
      const { imports, exports } = session.stats();
      sum.imports += imports;
      sum.exports += exports;
    }
    return sum;
  }

  async function drain(graceMs = drainMsDefault): Promise<void> {
    if (isDraining) return;
    isDraining = true;
    const stopped = new Promise<void>((resolve) => http.close(() => resolve()));
    http.closeIdleConnections();
    const out = Promise.withResolvers<void>();
    const cancel = clock.after(graceMs, () => out.resolve());
    const answered = Promise.allSettled([...[...sessions].map((session) => session.drain()), ...batches]);
    await Promise.race([answered, out.promise]);
    cancel();
    for (const session of sessions) session.close(new FlotillaError("unavailable", `${options.name} is stopping`));
    http.closeIdleConnections();
    const cut = clock.after(1_000, () => http.closeAllConnections());
    await stopped;
    cut();
  }
}

/** A WebSocket server for one class of peer: ws takes its frame limit per server. */
function makeUpgrader(limits: Limits): { server: WebSocketServer; replies: WeakMap<IncomingMessage, string> } {
  const replies = new WeakMap<IncomingMessage, string>();
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: limits.frameBytesMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  });
  server.on("headers", (headers, request) => {
    const reply = replies.get(request);
    if (reply) headers.push(`${replyHeader}: ${reply}`);
  });
  return { server, replies };
}

function listen(http: HttpServer, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      const message = isTaken ? `Port ${port} is in use by another program` : `Cannot listen on ${host}:${port}`;
      reject(
        new FlotillaError("unavailable", message, { reason: isTaken ? "port_in_use" : "cannot_listen", cause: error }),
      );
    });
    http.listen(port, host, resolve);
  });
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0] ?? "";
}
