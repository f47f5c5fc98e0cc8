import { systemClock } from "../base/clock.ts";
import { outsideContext } from "../base/context.ts";
import { type FlotillaError, toFlotillaError } from "../base/errors.ts";
import { edgeLimits, linkLimits } from "../base/limits.ts";
import { makeTurns } from "../resilience/turns.ts";
import { type OnHiddenError, tellHidden } from "../rpc/hidden.ts";
import { RpcSession } from "../rpc/session.ts";
import type { RpcSessionOptions } from "../rpc/session-options.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import type { SendLimits } from "../rpc/writer.ts";
import type { Channel, Framing } from "../transport/channel.ts";

/** One live connection between two processes, with both directions' main objects. */
export interface Session {
  /** The peer's main object. Borrowed: it lives as long as the session. */
  readonly remoteMain: RpcStub<RpcTarget>;
  /** Whether the peer has said that it is stopping. */
  readonly isPeerStopping: boolean;
  /** Entries in the tables of the session; 1 and 1 when nothing is held in either direction. */
  stats(): { imports: number; exports: number };
  /**
   * Tells the peer that this side is stopping. Resolves when the peer will ask nothing new, when the session is over or
   * `noticeMsMax` are, and at once when the peer is a stock one, to whom nothing can be said.
   */
  announceStop(): Promise<void>;
  /**
   * From now on refuses new calls of the peer's with `unavailable`; resolves when every call that it waits for was
   * answered, rejects when the session ends before.
   */
  drain(): Promise<void>;
  /** `announceStop`, then `drain`; resolves also when the session ends before. */
  part(): Promise<void>;
  close(reason: FlotillaError): void;
  /** Resolves with the reason when the session is over, however that came. */
  readonly closed: Promise<FlotillaError>;
}

/** What `openSession` takes. Default: as strict as for a stranger. */
export interface SessionOptions extends Partial<RpcSessionOptions> {
  readonly localMain?: RpcTarget | undefined;
  readonly onHiddenError?: OnHiddenError | undefined;
  /** Hears that the peer is stopping; resolves when nothing new will be asked of it, for which it waits a moment. */
  readonly onPeerStopping?: (() => PromiseLike<void> | void) | undefined;
}

/** For a peer that hears that we are stopping, to finish what takes several calls. Milliseconds. */
const noticeMsMax = 500;

/** Limits of a stock peer. */
const stockLimits: SendLimits = {
  frameBytesMax: 32 * 1024 * 1024,
  messageNodesMax: Number.POSITIVE_INFINITY,
  messageDepthMax: 256,
};

/** Limits of a peer on one message. @param isAnonymous whether it is a server of ours to which this side proves no name. */
export function sendLimitsTo(framing: Framing, isAnonymous: boolean): SendLimits {
  if (framing !== "flotilla.v1") return stockLimits;
  return isAnonymous ? edgeLimits : linkLimits;
}

/** For a peer without turns of its own: its calls never queue. */
const unlimited = {
  turnsPerSessionMax: Number.POSITIVE_INFINITY,
  turnsPerAddressMax: Number.POSITIVE_INFINITY,
  waitingCallsMax: Number.POSITIVE_INFINITY,
  overloadWaitMsMax: Number.POSITIVE_INFINITY,
};

/** Starts a session on `channel`, which it owns from now on: what `serve` and `connect` do when a WebSocket has opened. */
export function openSession(channel: Channel, options: SessionOptions = {}): Session {
  const { clock = systemClock, onHiddenError } = options;
  const over = Promise.withResolvers<FlotillaError>();
  let drained: Promise<void> | undefined;
  let announced: PromiseWithResolvers<void> | undefined;
  let isPeerStopping = false;
  const rpc = openRpc(channel, options, { onFailed: over.resolve, onStopping });
  const session: Session = {
    remoteMain: rpc.remoteMain as RpcStub<RpcTarget>,
    get isPeerStopping() {
      return isPeerStopping;
    },
    stats: () => rpc.tables.stats,
    announceStop() {
      if (channel.framing !== "flotilla.v1") return Promise.resolve();
      if (!announced) {
        announced = Promise.withResolvers();
        const cancel = clock.after(noticeMsMax, announced.resolve);
        void over.promise.then(announced.resolve as () => void);
        void announced.promise.then(cancel);
        rpc.sayStopping();
      }
      return announced.promise;
    },
    drain() {
      drained ??= rpc.drain();
      return drained;
    },
    async part() {
      await session.announceStop();
      await session.drain().catch(() => {});
    },
    close(reason) {
      rpc.close(reason.code === "unavailable" ? 1001 : 1008, reason);
    },
    closed: over.promise,
  };
  return session;

  /** The peer's notice, or its answer to ours. */
  function onStopping(): void {
    announced?.resolve();
    // Once, however often it is said.
    if (isPeerStopping) return;
    isPeerStopping = true;
    void answerNotice(options.onPeerStopping);
  }

  async function answerNotice(hear: SessionOptions["onPeerStopping"]): Promise<void> {
    if (!hear) return;
    try {
      await hear();
    } catch (fault) {
      tellHidden(onHiddenError, toFlotillaError(fault));
    }
    rpc.sayStopping();
  }
}

function openRpc(
  channel: Channel,
  options: SessionOptions,
  heard: Pick<RpcSessionOptions, "onFailed" | "onStopping">,
): RpcSession {
  const { clock = systemClock, limits = edgeLimits } = options;
  const turns = () => makeTurns({ ...unlimited, runningCallsMax: limits.runningCallsMax }, clock).join();
  const own: RpcSessionOptions = {
    ...options,
    limits,
    env: options.env ?? { turns: turns() },
    sendLimits: options.sendLimits ?? sendLimitsTo(channel.framing, false),
    callers: options.callers ?? { keepCallers: false, peerName: undefined },
    clock,
    ...heard,
  };
  // A session outlives the call in which it happened to be opened.
  return outsideContext(() => new RpcSession(channel, own));
}
