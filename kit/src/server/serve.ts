import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import { isInstanceId, newInstanceId } from "../base/ids.ts";
import { edgeLimits, type Limits, linkLimits } from "../base/limits.ts";
import type { OnAnswered } from "../base/observer.ts";
import type { Peer } from "../base/peer.ts";
import { replyTo, type Self } from "../identity/hello.ts";
import type { Identity } from "../identity/identity.ts";
import { endWhenRevoked } from "../identity/key-watch.ts";
import { type OnHiddenError, tellHidden } from "../rpc/hidden.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { limitLifetime } from "../session/lifetime.ts";
import { openSession, type Session } from "../session/session.ts";
import { makeWebSocketChannel } from "../transport/websocket.ts";
import { type Admitted, makeAdmission } from "./admission.ts";
import { clientWentAway, contextOfRequest, runBatch, traceIdOf } from "./batch.ts";
import { readBody } from "./body.ts";
import { type Busyness, makeHealth, type WaitsFor } from "./health.ts";
import {
  allowOrigin,
  answerLines,
  answerPreflight,
  answerRefusal,
  answerUnserved,
  answerUpgradeRequired,
  listenAll,
  pathOf,
  refuseUpgrade,
} from "./http.ts";
import type { Intake } from "./intake.ts";
import { makeListener } from "./listener.ts";
import { makeProxies } from "./proxies.ts";
import { makeUpgrader, offersWebSocket } from "./upgrader.ts";

/** Options of `serve`. `edge` limits anonymous peers, `link` services that proved a key: default `edgeLimits`, `linkLimits`. */
export interface ServeOptions {
  /** The service's name; with `identity`, the one its key stands for. */
  readonly name: string;
  /** This run of it: that of its `Home`. Default: a new one. */
  readonly instance?: string;
  /** What `peer` may call, or undefined to refuse it. Asked once per session; the session owns the answer. */
  main(peer: Peer): RpcTarget | undefined;
  /** With it, peers that prove a service's key are told apart; without it everybody is anonymous. */
  readonly identity?: Identity | undefined;
  /** Default 127.0.0.1: this machine alone. A `port` of 0 takes any free one. */
  readonly host?: string;
  readonly port: number;
  /** A Unix socket to listen at too, for peers on the same machine: an absolute path of at most 103 bytes. */
  readonly socketPath?: string | undefined;
  /** Asked by `/readyz`; a throw counts as no. It is no either while the event loop is late by more than 2 s. */
  isReady?(): boolean;
  /** Services that `isReady` waits for, or that do not answer now. Asked by `/readyz`, which names them to anybody. */
  waitsFor?(): readonly WaitsFor[];
  /**
   * Web pages that may call, such as `https://shop.example` or, of an app, `capacitor://localhost`; else a TypeError.
   * Browsers send it as `Origin`, other programs send none. SECURITY: default none: a browser connects for any page.
   */
  readonly origins?: readonly string[] | undefined;
  /** Addresses or ranges of proxies whose `X-Forwarded-For` counts; else a TypeError. SECURITY: they may name anybody. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Time for a client to send a whole request, headers and body. Milliseconds, default 8 s. */
  readonly receiveMsMax?: number | undefined;
  readonly edge?: Limits;
  readonly link?: Limits;
  readonly clock?: Clock;
  /** Hears of faults, which callers know as `internal` only. Default: a line on stderr for each. */
  readonly onHiddenError?: OnHiddenError | undefined;
  /** Hears what was refused before a method ran, for counting; for `origin_refused` the cause's message is the origin. */
  readonly onRefused?: ((reason: FlotillaError) => void) | undefined;
  /** Hears of each call that was answered, or refused where it could have begun; for counting. */
  readonly onAnswered?: OnAnswered | undefined;
  /** Hears every frame of every WebSocket session; for recordings in tests. */
  readonly onFrame?: ((peer: Peer, direction: "in" | "out", frame: string) => void) | undefined;
}

/** A service that listens. */
export interface Server {
  /** `http://host:port`, with the port that was really taken. */
  readonly url: string;
  /** Entries in the tables of the sessions that are open: when nothing is held, as many of each as there are sessions. */
  stats(): { sessions: number; imports: number; exports: number };
  busyness(): Busyness;
  /**
   * Graceful: turns unready, tells peers of ours, takes nothing new, answers the calls that are under way, then closes.
   * @param graceMs what is not answered by then is cut. Milliseconds, default 5 s.
   */
  drain(graceMs?: number): Promise<void>;
}

const drainMsDefault = 5_000;
/** After a drain, for the peers that do not take their leave. Milliseconds. */
const partingMsMax = 1_000;
/** With Node's checks every tenth of it, a connection that trickles is cut within 10 s. */
const receiveMsDefault = 8_000;

/** A batch that is being answered. */
interface Batch {
  readonly intake: Intake;
  readonly ended: AbortController;
  /** When its answer was handed to the network, or the client is gone. */
  readonly answered: Promise<void>;
}

const paths = { session: "/rpc", batch: "/rpc/batch", health: "/healthz", ready: "/readyz" } as const;

/**
 * Serves one service: HTTP batch at `POST /rpc/batch`, WebSocket at `/rpc`, `/healthz` and `/readyz`.
 *
 * @throws FlotillaError `unavailable`, reason `cannot_listen`, or `port_in_use`: the port or the Unix socket is taken;
 *   TypeError for an `instance` that is none.
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { host = "127.0.0.1", clock = systemClock, edge: limits = edgeLimits, onRefused } = options;
  const { receiveMsMax = receiveMsDefault, instance = newInstanceId() } = options;
  if (!isInstanceId(instance)) throw new TypeError("instance is none: 16 to 24 characters of base64url");
  const self: Self | undefined = options.identity && {
    identity: options.identity,
    instance,
    clock,
  };
  const health = makeHealth({ ...options, clock, report });
  const proxies = makeProxies(options.trustedProxies);
  const admission = makeAdmission({ ...options, self, clock, load: health.load, addressOf: proxies.addressOf });
  const sessions = new Set<Session>();
  const batches = new Set<Batch>();
  const stopped = new FlotillaError("unavailable", "The service is stopping");
  /** Tells those who still send that nobody will read on. */
  const stopAsked = new AbortController();
  let stopping: Promise<void> | undefined;
  const listening = { receiveMsMax, limits, clock, proxies, mayUpgrade: offersWebSocket };
  const { http, intakes } = makeListener({ ...listening, onRequest, onRefused });
  const upgraders = { anonymous: makeUpgrader(limits), service: makeUpgrader(options.link ?? linkLimits) };
  http.on("upgrade", onUpgrade);
  const closeSocket = await listenAll(http, { ...options, host }).catch((error: unknown) => {
    health.stop();
    throw error;
  });
  // Such as too many open files when a connection is accepted: the next one may go well.
  http.on("error", report);
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    stats,
    busyness: health.busyness,
    drain,
  };

  function onRequest(request: IncomingMessage, response: ServerResponse, intake: Intake): void {
    const path = pathOf(request);
    const { origin } = request.headers;
    if (admission.isListedOrigin(origin)) allowOrigin(response, origin);
    if (path === paths.batch && request.method === "OPTIONS") {
      answerPreflight(response);
      return;
    }
    if (path === paths.batch && request.method === "POST") {
      const ended = new AbortController();
      const answered = Promise.withResolvers<void>();
      const batch: Batch = { intake, ended, answered: answered.promise };
      batches.add(batch);
      response.once("close", () => {
        batches.delete(batch);
        if (!response.writableFinished) ended.abort(clientWentAway());
        answered.resolve();
      });
      void answerBatch(request, response, batch);
      return;
    }
    const isGet = request.method === "GET" || request.method === "HEAD";
    if (path === paths.health && isGet) health.answerAlive(response);
    else if (path === paths.ready && isGet) health.answerReady(response, stopping !== undefined);
    else if (path === paths.session && isGet) answerUpgradeRequired(response, traceIdOf(request));
    else answerUnserved(response, Object.values<string>(paths).includes(path), traceIdOf(request));
  }

  async function answerBatch(request: IncomingMessage, response: ServerResponse, batch: Batch): Promise<void> {
    try {
      const { peer, leave, ...terms } = admit(request, { isBatch: true });
      response.once("close", leave);
      const context = contextOfRequest(request, terms.callers, clock);
      const localMain = admission.mainFor(peer);
      const body = await readBody(request, { stop: stopAsked.signal, intake: batch.intake }).catch((error: unknown) => {
        disposeMain(localMain);
        throw error;
      });
      const run = { ...terms, localMain, context, clock, intake: batch.intake, ended: batch.ended.signal };
      answerLines(response, await runBatch(body, { ...run, onHiddenError: options.onHiddenError }));
    } catch (thrown) {
      answerRefusal(response, refuse(thrown, request));
    }
  }

  function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    try {
      const intake = intakes.begin(socket, request);
      if (!intake) return;
      if (pathOf(request) !== paths.session)
        throw new FlotillaError("not_found", `WebSocket sessions are at ${paths.session}`);
      const { peer, hello, leave, ...terms } = admit(request, { isBatch: false });
      socket.once("close", leave);
      const localMain = admission.mainFor(peer);
      const upgrader = upgraders[peer.kind];
      if (self && hello) upgrader.replies.set(request, replyTo(hello, self));
      let isOpen = false;
      upgrader.server.handleUpgrade(request, socket, head, (webSocket) => {
        isOpen = true;
        intake.becomeSession(peer.kind === "service" ? "link" : "edge");
        const session = openSession(makeWebSocketChannel(webSocket, clock, { ...terms, spend: intake.spend }), {
          ...terms,
          localMain,
          clock,
          onHiddenError: options.onHiddenError,
          onRefused,
          intake,
          onFrame: options.onFrame && ((direction, frame) => options.onFrame?.(peer, direction, frame)),
        });
        webSocket.on("message", limitLifetime(session, terms.limits, clock));
        if (self && hello) endWhenRevoked(session, { identity: self.identity, proven: hello, clock });
        sessions.add(session);
        void session.closed.then(() => sessions.delete(session));
      });
      // ws refuses a malformed handshake by itself, without a word to us; a good one is open by now.
      if (!isOpen) disposeMain(localMain);
    } catch (thrown) {
      refuseUpgrade(socket, refuse(thrown, request));
    }
  }

  function admit(request: IncomingMessage, by: { readonly isBatch: boolean }): Admitted {
    if (stopping) throw stopped;
    return admission.admit(request, by);
  }

  function stats(): { sessions: number; imports: number; exports: number } {
    const sum = { sessions: sessions.size, imports: 0, exports: 0 };
    for (const { imports, exports } of [...sessions].map((session) => session.stats())) {
      sum.imports += imports;
      sum.exports += exports;
    }
    return sum;
  }

  function drain(graceMs = drainMsDefault): Promise<void> {
    stopping ??= stop(graceMs);
    return stopping;
  }

  async function stop(graceMs: number): Promise<void> {
    const closed = Promise.all([closeSocket(), new Promise<void>((resolve) => http.close(() => resolve()))]);
    stopAsked.abort(stopped);
    const grace = Promise.withResolvers<void>();
    const cancelGrace = clock.after(graceMs, grace.resolve);
    const answered = [...[...sessions].map(endSession), ...[...batches].map((batch) => batch.answered)];
    await Promise.race([Promise.allSettled(answered), grace.promise]);
    cancelGrace();
    for (const session of sessions) session.close(stopped);
    for (const batch of batches) batch.ended.abort(stopped);
    http.closeIdleConnections();
    const cancelParting = clock.after(partingMsMax, () => {
      http.closeAllConnections();
      for (const { server } of Object.values(upgraders)) for (const webSocket of server.clients) webSocket.terminate();
    });
    await closed;
    cancelParting();
    health.stop();
  }

  /** Each ends when its own calls are answered: a peer need not wait for the slowest of the others. */
  async function endSession(session: Session): Promise<void> {
    await session.part();
    session.close(stopped);
  }

  function disposeMain(main: RpcTarget): void {
    try {
      (main as Partial<Disposable>)[Symbol.dispose]?.();
    } catch (thrown) {
      report(thrown);
    }
  }

  function refuse(thrown: unknown, request: IncomingMessage): FlotillaError {
    const error = report(thrown, traceIdOf(request));
    onRefused?.(error);
    return error;
  }

  /** What a peer may be told of `thrown`; the rest goes to this process's log. */
  function report(thrown: unknown, requestId?: string): FlotillaError {
    const error = toFlotillaError(thrown, requestId);
    if (error.code === "internal") tellHidden(options.onHiddenError, error);
    return error;
  }
}
