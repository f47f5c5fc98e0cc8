import type { IncomingMessage } from "node:http";
import { connect as connectSocket } from "node:net";
import { type ClientOptions, WebSocket } from "ws";
import { type Clock, systemClock } from "../base/clock.ts";
import type { FlotillaError } from "../base/errors.ts";
import { isInstanceId, newInstanceId } from "../base/ids.ts";
import { handshakeMsMax, type Limits, linkLimits } from "../base/limits.ts";
import { addressOf } from "../base/service-url.ts";
import { checkReply, helloHeader, type Proven, replyHeader, type Self, sayHello } from "../identity/hello.ts";
import type { Identity } from "../identity/identity.ts";
import { endWhenRevoked } from "../identity/key-watch.ts";
import type { Backoff } from "../resilience/backoff.ts";
import { makeThrottle, type Throttle } from "../resilience/throttle.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import type { SendLimits } from "../rpc/writer.ts";
import { openSession, type Session, sendLimitsTo } from "../session/session.ts";
import { offeredProtocols } from "../transport/channel.ts";
import { makeWebSocketChannel } from "../transport/websocket.ts";
import { type Connection, type Dialing, keepConnected, type Link } from "./connection.ts";
import { notAnswered, notProven, refused, unreachable } from "./unreachable.ts";

/** What `connect` takes. */
export interface ConnectOptions {
  /** The service to reach; with `as`, the one whose key it must prove. */
  readonly name: string;
  /** `http://host:port` of it; `https`, `ws` and `wss` too; or `unix:/path` of its Unix socket. */
  readonly url: string;
  /**
   * Who we are. Without it the connection is anonymous, in both directions. `instance` is this run of ours, that of our
   * `Home`; default: a new one.
   */
  readonly as?: { readonly identity: Identity; readonly instance?: string | undefined } | undefined;
  /** Of what the peer may send. Default `linkLimits`. */
  readonly limits?: Limits;
  /**
   * Limits of what it takes in one message: a call above them fails, and leaves the session to the others. Default: of one of ours
   * with `as` `linkLimits`, else `edgeLimits`; of a stock one 32 MiB.
   */
  readonly sendLimits?: SendLimits;
  readonly clock?: Clock;
  /** 0 to 1, for the jitter of reconnection. */
  readonly random?: () => number;
  /** Hears every frame, for recordings and for counting. */
  readonly onFrame?: ((direction: "in" | "out", frame: string) => void) | undefined;
  /**
   * Hears that the peer is stopping, and is gone soon. The peer refuses new calls once this has resolved, or after a
   * moment. Default: at once.
   */
  readonly onStopping?: (() => PromiseLike<void> | void) | undefined;
  /** Hears why the peer at `url` cannot be reached: once, until that changes or a session has opened. For a log. */
  readonly onProblem?: ((problem: FlotillaError, url: string) => void) | undefined;
}

/** Between services. A peer is mostly back in half a second; doubled waits would miss that by as much again. */
const backoff: Backoff = { minMs: 50, maxMs: 2_000, growth: 1.25 };

/** The words of `ws` for it; it does not say so otherwise. */
const noneChosen = "Server sent no subprotocol";

/**
 * Connects to a service, lazily; the caller owns the connection, and closes it. It does not matter which of the two
 * starts first, nor how often either restarts: the connection is tried again with growing, jittered waits for as long
 * as it is not closed. The service may be any that speaks Cap'n Web over WebSockets; one of ours is told by the subprotocol
 * that it chooses.
 *
 * While the peer is away, calls reject with `unavailable` and, where it is known, the reason:
 * - nothing answered: `connection_refused`, `connection_dropped`, `host_not_found`, `network_unreachable`, `timed_out`;
 * - TLS failed: `certificate_untrusted`, `certificate_expired`, `certificate_not_yet_valid`, `certificate_other_host`,
 *   `certificate_refused`, `tls_expected` (by the peer), `tls_not_spoken` (by the peer), `tls_failed`;
 * - it refused: `unauthenticated` (our hello, or it serves services only), `permission_denied`, `not_found` (no sessions
 *   there), `upgrade_required` (a proxy drops the Upgrade header), or the code of its refusal;
 * - something else answered: `peer_unproven` (another service, or another key), `unexpected_answer`.
 *
 * @throws TypeError for a `url` or an `as.instance` that is none.
 */
export function connect<T extends RpcTarget>(options: ConnectOptions): Connection<T> {
  const { name, clock = systemClock, random = Math.random } = options;
  const { href, socketPath } = addressOf(options.url);
  const self = options.as && selfOf(options.as, clock);
  const onProblem = (problem: FlotillaError) => options.onProblem?.(problem, options.url);
  const isTls = href.startsWith("wss:");
  const throttle = makeThrottle(name, clock, random);
  const kept = { name, isAnonymous: self === undefined, throttle, onProblem };
  return keepConnected<T>({ ...kept, clock, random, backoff, dial }).connection;

  function dial(): Dialing {
    const dialled = Promise.withResolvers<Link>();
    let socket = open(offeredProtocols, dialled, () => {
      socket = open([], dialled);
    });
    return { link: dialled.promise, abandon: () => socket.terminate() };
  }

  /** @param again is called in place of a refusal when the server has chosen none of `protocols`: it is a stock one. */
  function open(protocols: readonly string[], dialled: PromiseWithResolvers<Link>, again?: () => void): WebSocket {
    const { resolve, reject } = dialled;
    const hello = self && sayHello(self, name);
    const socket = new WebSocket(href, [...protocols], {
      ...(socketPath !== undefined && atSocket(socketPath)),
      headers: hello ? { [helloHeader]: hello.header } : {},
      maxPayload: (options.limits ?? linkLimits).frameBytesMax,
      perMessageDeflate: false,
      handshakeTimeout: handshakeMsMax,
    });
    let proven: Proven | undefined;
    socket.once("upgrade", (response) => {
      if (!self || !hello) return;
      try {
        proven = provenBy(response, { name, nonce: hello.nonce }, self);
      } catch (error) {
        // SECURITY: before anything is sent. A false service gets a hello that is of use to nobody else, and no call.
        reject(error);
        socket.terminate();
      }
    });
    socket.once("unexpected-response", (_request, response) => {
      void refused(name, response, { hasKey: hello !== undefined, clock }).then((error) => {
        reject(error);
        socket.terminate();
      });
    });
    socket.once("open", () => {
      if (socket.readyState !== socket.OPEN) return;
      const session = begin(socket, options, clock, throttle);
      if (self && proven) endWhenRevoked(session, { identity: self.identity, proven, clock });
      resolve({ session, instance: proven?.peer.instance });
    });
    let isOpenedAgain = false;
    socket.on("error", (cause) => {
      isOpenedAgain = again !== undefined && cause.message === noneChosen && !self;
      if (isOpenedAgain) again?.();
      else reject(notAnswered(name, cause, isTls));
    });
    socket.once("close", () => {
      if (!isOpenedAgain) reject(unreachable(name, { text: "it closed the connection" }));
    });
    return socket;
  }
}

/** @param answers hears when answers are asked for, and when they come. */
function begin(socket: WebSocket, options: ConnectOptions, clock: Clock, answers: Throttle): Session {
  const isProven = options.as !== undefined;
  const channel = makeWebSocketChannel(socket, clock);
  return openSession(channel, {
    limits: options.limits ?? linkLimits,
    sendLimits: options.sendLimits ?? sendLimitsTo(channel.framing, !isProven),
    // Our own services name us in the chain of callers by the key we proved; what they send us has no chain of its own.
    callers: { keepCallers: isProven, peerName: isProven ? options.name : undefined },
    clock,
    answers,
    onFrame: options.onFrame,
    onPeerStopping: () => options.onStopping?.(),
  });
}

/** @throws FlotillaError `unavailable` when the service did not sign its answer, or not as the one that was asked for. */
function provenBy({ headers }: IncomingMessage, asked: { name: string; nonce: string }, self: Self): Proven {
  const header = headers[replyHeader];
  const reply = typeof header === "string" ? header : undefined;
  try {
    return checkReply(reply, asked, self);
  } catch (error) {
    throw notProven(asked.name, reply !== undefined, error);
  }
}

/** Options of `ws` for a Unix socket. */
function atSocket(path: string): ClientOptions {
  return {
    // The time-out of the handshake is the socket's: of a port `ws` sets it itself.
    createConnection: () => connectSocket({ path, timeout: handshakeMsMax }),
    // Masks guard proxies, and none stands in between. Bytes that are no UTF-8 become U+FFFD in a string.
    generateMask: (mask) => void mask.fill(0),
    skipUTF8Validation: true,
  };
}

function selfOf({ identity, instance = newInstanceId() }: NonNullable<ConnectOptions["as"]>, clock: Clock): Self {
  if (!isInstanceId(instance)) throw new TypeError("as.instance is no instance: 16 to 24 characters of base64url");
  return { identity, instance, clock };
}
