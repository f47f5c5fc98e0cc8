import type { Cancel, Clock } from "../base/clock.ts";
import { inTime, outsideContext } from "../base/context.ts";
import { FlotillaError, reasonOf } from "../base/errors.ts";
import { type Backoff, backoffMs } from "../resilience/backoff.ts";
import type { Throttle } from "../resilience/throttle.ts";
import { RpcPromise, type RpcStub, type RpcTarget } from "../rpc/stub.ts";
import type { Session } from "../session/session.ts";
import { unreachable } from "./unreachable.ts";

/**
 * A connection that opens when it is first used and comes back by itself.
 * (`in out` spares the type checker from comparing whole stubs where two connections meet, which takes it seconds.)
 */
export interface Connection<in out T extends RpcTarget> extends Disposable {
  readonly name: string;
  /**
   * The peer's main object, of the session that is open now. Borrowed: never dispose it. While the first session opens,
   * calls wait for it; while the peer is away they reject at once with `unavailable`, and while it refuses many calls
   * for overload some reject with `resource_exhausted`, reason `overloaded`, without being sent.
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
  /** For how long it has been without a session, since it was first used or lost the last one; 0 with one. Milliseconds. */
  readonly awayMs: number;
  /** Why calls reject: while the peer is away, and once the connection is closed; undefined otherwise. */
  readonly away: FlotillaError | undefined;
  /** The peer has said that it is stopping: whoever can asks another instance. */
  readonly isLeaving: boolean;
  /** How many sessions were opened so far: what hangs on a session is gone when it has grown. */
  readonly sessionNumber: number;
  /** Entries in the tables of the session that is open; 1 and 1 when nothing is held, 0 and 0 while none is open. */
  stats(): { imports: number; exports: number };
  /** Calls that were not sent, because the peer refused many for overload. */
  readonly withheld: number;
  /** Tries again now, when the peer is away and the next attempt would come later: for who has lost another instance. */
  retry(): void;
  /** Ends the session, and with it what was obtained over it; calls reject with `unavailable` from then on. */
  close(): void;
}

/** A session that ends sooner is one more failure: a peer that takes connections and drops them is not called in a storm. */
const settledMs = 1_000;

export interface Link {
  readonly session: Session;
  readonly instance: string | undefined;
}

type State =
  | { readonly at: "idle" }
  | { readonly at: "opening"; readonly link: Promise<Link> }
  | { readonly at: "open"; readonly link: Link }
  | { readonly at: "away"; readonly reason: FlotillaError }
  | { readonly at: "closed"; readonly reason: FlotillaError };

/** An attempt to open a session. */
export interface Dialing {
  /** Rejects when there is none to be had; what is no `FlotillaError` becomes `unavailable`. */
  readonly link: Promise<Link>;
  /** Ends the attempt; `link` then rejects. */
  abandon(): void;
}

/** Where a connection is: not used yet, opening its first session, open, between two sessions, or closed for good. */
export type ConnectionStatus = "idle" | "opening" | "open" | "away" | "closed";

export interface KeepConnectedOptions {
  readonly name: string;
  readonly isAnonymous: boolean;
  readonly clock: Clock;
  /** 0 to 1, for the jitter of the waits. */
  readonly random: () => number;
  readonly backoff: Backoff;
  readonly dial: () => Dialing;
  /** Throws for what is not to be sent, because the peer has too much to do. */
  readonly throttle?: Pick<Throttle, "pass" | "withheld"> | undefined;
  /** Hears of each change, after it. */
  readonly onStatus?: ((status: ConnectionStatus, reason: FlotillaError | undefined) => void) | undefined;
  /** Hears why no session opens: once, until that changes or one has opened. */
  readonly onProblem?: ((problem: FlotillaError) => void) | undefined;
}

export interface KeptConnection<T extends RpcTarget> {
  readonly connection: Connection<T>;
  /** Tries now what would be tried after a wait, and counts the waits anew; nothing otherwise. */
  retryNow(): void;
}

/** A connection that dials when it is first used, and again, after growing and jittered waits, until it is closed. */
export function keepConnected<T extends RpcTarget>(options: KeepConnectedOptions): KeptConnection<T> {
  const { name, isAnonymous, clock, random, backoff, dial } = options;
  let state: State = { at: "idle" };
  let failures = 0;
  let sessionNumber = 0;
  let awaySinceMs: number | undefined;
  let cancelRetry: Cancel = () => {};
  /** The problem that `onProblem` heard last. */
  let problem: string | undefined;
  let dialing: Dialing | undefined;

  const connection: Connection<T> = {
    name,
    get main() {
      return mainStub() as unknown as RpcStub<T>;
    },
    get instance() {
      return state.at === "open" ? state.link.instance : undefined;
    },
    at: (instance) => (state.at === "open" && state.link.instance === instance ? connection : undefined),
    isAnonymous,
    get isOpen() {
      return state.at === "open";
    },
    get awayMs() {
      return awaySinceMs === undefined ? 0 : clock.monotonicMs() - awaySinceMs;
    },
    get away() {
      return "reason" in state ? state.reason : undefined;
    },
    get isLeaving() {
      return state.at === "open" && state.link.session.isPeerStopping;
    },
    get sessionNumber() {
      return sessionNumber;
    },
    async opened() {
      await currentLink();
    },
    stats: () => (state.at === "open" ? state.link.session.stats() : { imports: 0, exports: 0 }),
    get withheld() {
      return options.throttle?.withheld ?? 0;
    },
    retry,
    close,
    [Symbol.dispose]: close,
  };
  return { connection, retryNow };

  function mainStub(): RpcStub<RpcTarget> {
    if (state.at !== "open")
      return promised(inTime(currentLink(), clock).then(({ session }) => session.remoteMain.dup()));
    try {
      options.throttle?.pass();
      return state.link.session.remoteMain;
    } catch (error) {
      return promised(Promise.reject(error as FlotillaError));
    }
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
    const link = outsideContext(() =>
      attempt().then(onOpen, (thrown: unknown) => {
        dialing = undefined;
        const reason = onAway(thrown instanceof FlotillaError ? thrown : unreachable(name, { cause: thrown }));
        tellProblem(reason);
        throw reason;
      }),
    );
    // While the peer is known to be away, calls go on failing fast; only the first attempt of all is waited for.
    if (state.at === "idle") enter({ at: "opening", link });
    return link;
  }

  async function attempt(): Promise<Link> {
    dialing = dial();
    return dialing.link;
  }

  function onOpen(link: Link): Link {
    dialing = undefined;
    // Whoever closed cut the socket.
    if (state.at === "closed") throw state.reason;
    const openedAtMs = clock.monotonicMs();
    sessionNumber += 1;
    problem = undefined;
    enter({ at: "open", link });
    void link.session.closed.then((reason) => {
      if (clock.monotonicMs() - openedAtMs >= settledMs) failures = 0;
      onAway(unreachable(name, { reason: reasonOf(reason), cause: reason }));
    });
    return link;
  }

  /** @returns what callers are told, from the first failed attempt on. */
  function onAway(reason: FlotillaError): FlotillaError {
    if (state.at === "closed") return state.reason;
    const waitMs = backoffMs(failures, backoff, random);
    failures += 1;
    cancelRetry = clock.after(waitMs, tryAgain);
    enter({ at: "away", reason });
    return reason;
  }

  function tellProblem(reason: FlotillaError): void {
    if (state.at === "closed" || reason.message === problem) return;
    problem = reason.message;
    // In a task of its own: a listener that throws must not keep the connection from being tried again.
    queueMicrotask(() => options.onProblem?.(reason));
  }

  function close(): void {
    if (state.at === "closed") return;
    cancelRetry();
    const reason = new FlotillaError("unavailable", `The connection to ${name} was closed`);
    const before = state;
    enter({ at: "closed", reason });
    dialing?.abandon();
    if (before.at === "open") before.link.session.close(reason);
  }

  function tryAgain(): void {
    open().catch(() => {});
  }

  function retry(): void {
    if (state.at !== "away" || dialing) return;
    cancelRetry();
    tryAgain();
  }

  function retryNow(): void {
    failures = 0;
    retry();
  }

  function enter(next: State): void {
    const isNews = next.at !== state.at;
    state = next;
    if (next.at === "open" || next.at === "closed") awaySinceMs = undefined;
    else awaySinceMs ??= clock.monotonicMs();
    if (isNews) options.onStatus?.(next.at, "reason" in next ? next.reason : undefined);
  }
}

/**
 * A promise can be called like a stub: the calls go out when it resolves, or reject with it. It owns what it resolves to,
 * which so has to be a dup.
 */
function promised(main: Promise<RpcStub<RpcTarget>>): RpcStub<RpcTarget> {
  return new RpcPromise<RpcTarget>(main as unknown as Promise<RpcTarget>) as unknown as RpcStub<RpcTarget>;
}
