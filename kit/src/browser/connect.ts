import { type Clock, systemClock } from "../base/clock.ts";
import type { FlotillaError } from "../base/errors.ts";
import { handshakeMsMax, type Limits, linkLimits } from "../base/limits.ts";
import { hasMore, sessionHref } from "../base/service-url.ts";
import {
  type Connection,
  type ConnectionStatus,
  type Dialing,
  keepConnected,
  type Link,
} from "../client/connection.ts";
import { unreachable } from "../client/unreachable.ts";
import type { Backoff } from "../resilience/backoff.ts";
import { makeThrottle } from "../resilience/throttle.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import type { SendLimits } from "../rpc/writer.ts";
import { openSession, sendLimitsTo } from "../session/session.ts";
import { offeredProtocols } from "../transport/channel.ts";
import { makeBrowserChannel } from "./channel.ts";
import { askAlive, keepAlive } from "./heartbeat.ts";
import { listenForWakes } from "./wakes.ts";

/** What `connect` takes in a browser. */
export interface ConnectOptions {
  /** The service to reach: for the messages of errors. */
  readonly name: string;
  /** `https://host` of it; `http`, `ws` and `wss` too. It must list the page's origin. */
  readonly url: string;
  /** Hears where the connection is, after each change; `reason` says why it is away or closed. */
  readonly onStatus?: ((status: ConnectionStatus, reason: FlotillaError | undefined) => void) | undefined;
  /** Of what the service sends. */
  readonly limits?: Limits;
  /** Limits of what it takes in one message. Default: of one of ours `edgeLimits`, of a stock one 32 MiB. */
  readonly sendLimits?: SendLimits;
  readonly clock?: Clock;
  /** 0 to 1, for the jitter of reconnection. */
  readonly random?: () => number;
  readonly onFrame?: ((direction: "in" | "out", frame: string) => void) | undefined;
  /** Calls its argument when there is reason to doubt the connection; returns what ends that. Default: the page's events. */
  readonly listenForWakes?: (onWake: () => void) => () => void;
}

/** Of pages there are many, and somebody who looks at one wakes it: they wait longer than services do. */
const backoff: Backoff = { minMs: 200, maxMs: 10_000, growth: 1.6 };

/**
 * Connects a page, or a worker of one, to a service, lazily and anonymously, and again whenever the connection ends, until
 * it is closed: after growing, jittered waits, or at once when the network is back or the page is looked at again. A
 * session counts as open when the service has answered something on it, and ends when it no longer does. A stock Cap'n Web
 * server that chooses no subprotocol is reached by the second attempt.
 *
 * While the service is away, calls reject with `unavailable`; a browser does not tell why. What was held of a session is
 * gone with it: `sessionNumber` then has grown.
 *
 * @throws TypeError for a `url` that is none.
 */
export function connect<T extends RpcTarget>(options: ConnectOptions): Connection<T> {
  const { name, clock = systemClock, random = Math.random, onStatus } = options;
  const href = hrefOf(options.url);
  /**
   * A browser refuses a stock server that chooses no subprotocol, and does not say why: until an attempt that offers some
   * has succeeded, every second one offers none.
   */
  let offers = true;
  let isOurs = false;
  let askNow: () => void = () => {};
  const throttle = makeThrottle(name, clock, random);
  const { connection, retryNow } = keepConnected<T>({
    throttle,
    name,
    isAnonymous: true,
    clock,
    random,
    backoff,
    dial,
    onStatus(status, reason) {
      if (status === "closed") stopListening();
      // A listener that fails is the page's to hear of, and takes nothing of this with it.
      if (onStatus) queueMicrotask(() => onStatus(status, reason));
    },
  });
  const stopListening = (options.listenForWakes ?? listenForWakes)(() => {
    askNow();
    retryNow();
  });
  return connection;

  function dial(): Dialing {
    const socket = new WebSocket(href, offers ? [...offeredProtocols] : []);
    const { promise, resolve, reject } = Promise.withResolvers<Link>();
    let end = () => socket.close();
    const abandon = () => {
      reject(unreachable(name, { text: "it did not answer" }));
      end();
    };
    const cancel = clock.after(handshakeMsMax, abandon);
    socket.onclose = () => {
      if (!isOurs) offers = !offers;
      reject(unreachable(name, {}));
    };
    socket.onopen = () => {
      isOurs ||= offers;
      offers = true;
      const channel = makeBrowserChannel(socket, clock);
      end = channel.terminate;
      const session = openSession(channel, {
        limits: options.limits ?? linkLimits,
        sendLimits: options.sendLimits ?? sendLimitsTo(channel.framing, true),
        clock,
        answers: throttle,
        onFrame: options.onFrame,
      });
      askAlive(session, clock).then(
        () => {
          askNow = keepAlive(session, channel, clock);
          resolve({ session, instance: undefined });
        },
        (error: FlotillaError) => {
          reject(unreachable(name, { reason: error.reason, cause: error }));
          channel.terminate();
        },
      );
    };
    return { link: promise.finally(cancel), abandon };
  }
}

function hrefOf(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed || !/^(https?|wss?):$/.test(parsed.protocol) || hasMore(parsed)) {
    throw new TypeError("url is no address such as https://host (or http, ws, wss)");
  }
  return sessionHref(parsed);
}
