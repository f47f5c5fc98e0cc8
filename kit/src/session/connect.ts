import { connect as connectSocket } from "node:net";
import { RpcPromise, type RpcStub, type RpcTarget } from "capnweb";
import { WebSocket } from "ws";
import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { currentContext, outsideContext } from "../base/context.ts";
import { FlotillaError, reasonOf } from "../base/errors.ts";
import { isInstanceId, newInstanceId } from "../base/ids.ts";
import { handshakeMsMax, type Limits, linkLimits } from "../base/limits.ts";
import { makeWebSocketChannel, subprotocol } from "../transport/websocket.ts";
import { checkReply, helloHeader, type Proven, replyHeader, type Self, sayHello } from "./hello.ts";
import type { Identity } from "./identity.ts";
import { endWhenRevoked } from "./key-watch.ts";
import { addressOf } from "./service-url.ts";
import { openSession, type Session } from "./session.ts";
import { notAnswered, notProven, refused, unreachable } from "./unreachable.ts";

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
  readonly limits?: Limits;
  readonly clock?: Clock;
  /** 0 to 1, for the jitter of reconnection. */
  readonly random?: () => number;
  readonly onFrame?: ((direction: "in" | "out", frame: string) => void) | undefined;
  /**
   * Hears that the peer is stopping, and is gone soon. The peer refuses new calls once this has resolved, or after a
   * moment. Default: at once.
   */
  readonly onStopping?: (() => PromiseLike<void> | void) | undefined;
}

/** A connection that opens when it is first used and comes back by itself. */
export interface Connection<T extends RpcTarget> extends Disposable {
  readonly name: string;
  /**
   * The peer's main object, of the session that is open now. Borrowed: never dispose it. While the first session opens,
   * calls wait for it; while the peer is away they reject at once with `unavailable`.
   */
  readonly main: RpcStub<T>;
  /** The run of the service that is connected; undefined while none is, and on anonymous connections. */
  readonly instance: string | undefined;
  /** Itself, if that run is connected. */
  at(instance: string): Connection<T> | undefined;
  /** Whether it was made without `as`: nobody proves anything on it, so nothing can be introduced over it. */
  readonly isAnonymous: boolean;
  /** Resolves when a session is open. Rejects with `unavailable`, and a `reason`, while the peer is away. */
  opened(): Promise<void>;
  readonly isOpen: boolean;
  /** The peer has said that it is stopping: whoever can asks another instance. */
  readonly isLeaving: boolean;
  /** How many sessions were opened so far: what hangs on a session is gone when it has grown. */
  readonly sessionNumber: number;
  stats(): { imports: number; exports: number };
  /** Tries again now, when the peer is away and the next attempt would come later: for who has lost another instance. */
  retry(): void;
  close(): void;
}

/** Reconnection: the first wait, and the longest. Milliseconds. */
const backoffMsMin = 50;
const backoffMsMax = 2_000;
/** Each wait to the one before. A peer is mostly back in half a second; doubled waits would miss that by as much again. */
const backoffGrowth = 1.25;
/** A session that ends sooner is one more failure: a peer that takes connections and drops them is not called in a storm. */
const settledMs = 1_000;

interface Link {
  readonly session: Session;
  readonly instance: string | undefined;
}

type State =
  | { readonly at: "idle" }
  | { readonly at: "opening"; readonly link: Promise<Link> }
  | { readonly at: "open"; readonly link: Link }
  | { readonly at: "away"; readonly reason: FlotillaError }
  | { readonly at: "closed"; readonly reason: FlotillaError };

/**
 * Connects to a service, lazily. It does not matter which of the two starts first, nor how often either restarts: the
 * connection is tried again with growing, jittered waits for as long as it is not closed.
 *
 * While the peer is away, calls reject with `unavailable` and, where it is known, the reason: `connection_refused`,
 * `host_not_found`, `unauthenticated` (it refused our hello, or serves services only), `permission_denied`,
 * `not_found` (no sessions there), `peer_unproven` (another service, or another key), or the code of its refusal.
 *
 * @throws TypeError for a `url` or an `as.instance` that is none.
 */
export function connect<T extends RpcTarget>(options: ConnectOptions): Connection<T> {
  const { name, clock = systemClock, random = Math.random } = options;
  const { href, socketPath } = addressOf(options.url);
  const self = options.as && selfOf(options.as, clock);
  let state: State = { at: "idle" };
  let failures = 0;
  let sessionNumber = 0;
  let isLeaving = false;
  let isDialing = false;
  let cancelRetry: Cancel = () => {};
  let abandonDial = () => {};

  const connection: Connection<T> = {
    name,
    get main() {
      return mainStub() as RpcStub<T>;
    },
    get instance() {
      return state.at === "open" ? state.link.instance : undefined;
    },
    at: (instance) => (state.at === "open" && state.link.instance === instance ? connection : undefined),
    isAnonymous: self === undefined,
    get isOpen() {
      return state.at === "open";
    },
    get isLeaving() {
      return state.at === "open" && isLeaving;
    },
    get sessionNumber() {
      return sessionNumber;
    },
    async opened() {
      await currentLink();
    },
    stats: () => (state.at === "open" ? state.link.session.stats() : { imports: 0, exports: 0 }),
    retry() {
      if (state.at !== "away" || isDialing) return;
      cancelRetry();
      void open().catch(() => {});
    },
    close,
    [Symbol.dispose]: close,
  };
  return connection;

  function mainStub(): RpcStub<RpcTarget> {
    if (state.at === "open") return state.link.session.remoteMain;
    // A promise can be called like a stub: the calls go out when it resolves, or reject with it. It owns what it
    // resolves to, so that is a dup.
    const main = linkInTime().then(({ session }) => session.remoteMain.dup());
    return new RpcPromise<RpcTarget>(main as unknown as Promise<RpcTarget>) as unknown as RpcStub<RpcTarget>;
  }

  /** A call has its deadline from the start, also while it waits for the session. */
  function linkInTime(): Promise<Link> {
    const context = currentContext();
    if (!context) return currentLink();
    const late = Promise.withResolvers<never>();
    const cancel = clock.after(context.deadlineAtMs - clock.monotonicMs(), () =>
      late.reject(new FlotillaError("deadline_exceeded", "The call took longer than its deadline")),
    );
    return Promise.race([currentLink(), late.promise]).finally(cancel);
  }

  async function currentLink(): Promise<Link> {
    switch (state.at) {
      case "idle":
        return open();
      case "opening":
      case "open":
        return state.link;
      case "away":
      case "closed":
        throw state.reason;
      default:
        throw state satisfies never;
    }
  }

  function open(): Promise<Link> {
    isDialing = true;
    const link = outsideContext(() =>
      dial().then(onOpen, (thrown: unknown) => {
        throw onAway(thrown instanceof FlotillaError ? thrown : unreachable(name, { cause: thrown }));
      }),
    );
    // While the peer is known to be away, calls go on failing fast; only the first attempt of all is waited for.
    if (state.at === "idle") state = { at: "opening", link };
    return link;
  }

  function onOpen(link: Link): Link {
    isDialing = false;
    abandonDial = () => {};
    // Whoever closed cut the socket.
    if (state.at === "closed") throw state.reason;
    const openedAtMs = clock.monotonicMs();
    state = { at: "open", link };
    sessionNumber += 1;
    isLeaving = false;
    void link.session.closed.then((reason) => {
      if (clock.monotonicMs() - openedAtMs >= settledMs) failures = 0;
      onAway(unreachable(name, { reason: reasonOf(reason), cause: reason }));
    });
    return link;
  }

  /** @returns what callers are told, from the first failed attempt on. */
  function onAway(reason: FlotillaError): FlotillaError {
    isDialing = false;
    if (state.at === "closed") return state.reason;
    state = { at: "away", reason };
    const waitMs = Math.min(backoffMsMin * backoffGrowth ** failures, backoffMsMax) * (0.5 + random() / 2);
    failures += 1;
    cancelRetry = clock.after(waitMs, () => void open().catch(() => {}));
    return reason;
  }

  function close(): void {
    if (state.at === "closed") return;
    cancelRetry();
    const reason = new FlotillaError("unavailable", `The connection to ${name} was closed`);
    const before = state;
    state = { at: "closed", reason };
    abandonDial();
    if (before.at === "open") before.link.session.close(reason);
  }

  async function dial(): Promise<Link> {
    const hello = self && sayHello(self, name);
    const socket = new WebSocket(href, [subprotocol], {
      ...(socketPath !== undefined && { createConnection: () => connectSocket(socketPath) }),
      headers: hello ? { [helloHeader]: hello.header } : {},
      maxPayload: (options.limits ?? linkLimits).frameBytesMax,
      perMessageDeflate: false,
      handshakeTimeout: handshakeMsMax,
    });
    const { promise, resolve, reject } = Promise.withResolvers<Link>();
    abandonDial = () => socket.terminate();
    let proven: Proven | undefined;
    socket.once("upgrade", (response) => {
      if (!self || !hello) return;
      const header = response.headers[replyHeader];
      const reply = typeof header === "string" ? header : undefined;
      try {
        proven = checkReply(reply, { name, nonce: hello.nonce }, self);
      } catch (error) {
        // SECURITY: before anything is sent. A false service gets a hello that is of use to nobody else, and no call.
        reject(notProven(name, reply !== undefined, error));
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
      // Our own services name us in the chain of callers by the key we proved; what they send us has no chain of its own.
      const callers = { keepCallers: self !== undefined, peerName: self ? name : undefined };
      const session = openSession(makeWebSocketChannel(socket, clock), {
        limits: options.limits ?? linkLimits,
        callers,
        clock,
        onFrame: options.onFrame,
        onPeerStopping() {
          isLeaving = true;
          return options.onStopping?.();
        },
      });
      if (self && proven) endWhenRevoked(session, { identity: self.identity, proven, clock });
      resolve({ session, instance: proven?.peer.instance });
    });
    socket.on("error", (cause) => reject(notAnswered(name, cause)));
    socket.once("close", () => reject(unreachable(name, { text: "it closed the connection" })));
    return promise;
  }
}

function selfOf({ identity, instance = newInstanceId() }: NonNullable<ConnectOptions["as"]>, clock: Clock): Self {
  if (!isInstanceId(instance)) throw new TypeError("as.instance is no instance: 16 to 24 characters of base64url");
  return { identity, instance, clock };
}
