import { RpcSession, type RpcStub, type RpcTarget } from "capnweb";
import { systemClock } from "../base/clock.ts";
import { outsideContext } from "../base/context.ts";
import { type FlotillaError, toFlotillaError } from "../base/errors.ts";
import { edgeLimits } from "../base/limits.ts";
import { afterTurn } from "../base/platform.ts";
import type { Channel } from "../transport/channel.ts";
import { makeTransport, type Transport, type TransportOptions } from "../transport/transport.ts";
import { makeRedact, type OnHiddenError, redactMessage, tellHidden } from "./redact.ts";
import { refuseCalls } from "./stopping.ts";

/** One live connection between two processes, with both directions' main objects. */
export interface Session {
  /** The peer's main object. Borrowed: disposing it would end the session. */
  readonly remoteMain: RpcStub<RpcTarget>;
  /** Whether the peer has said that it is stopping. */
  readonly isPeerStopping: boolean;
  /** Entries in capnweb's tables; 1 and 1 when nothing is held in either direction. */
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
export interface SessionOptions extends Partial<TransportOptions> {
  /** What the peer may call. Owned by the session: disposed when it ends. */
  readonly localMain?: RpcTarget | undefined;
  readonly onHiddenError?: OnHiddenError | undefined;
  /** Hears that the peer is stopping; resolves when nothing new will be asked of it, for which it waits a moment. */
  readonly onPeerStopping?: (() => PromiseLike<void> | void) | undefined;
}

/** For a peer that hears that we are stopping, to finish what takes several calls. Milliseconds. */
const noticeMsMax = 500;

/** Starts a session on `channel`, which it owns from now on: what `serve` and `connect` do when a WebSocket has opened. */
export function openSession(channel: Channel, options: SessionOptions = {}): Session {
  const { clock = systemClock } = options;
  const over = Promise.withResolvers<FlotillaError>();
  let drained: Promise<void> | undefined;
  let announced: PromiseWithResolvers<void> | undefined;
  let isPeerStopping = false;
  const watched: Channel = {
    ...channel,
    listen: (events) =>
      channel.listen({
        frame: (text) => events.frame(drained ? refuseCalls(text, channel.framing) : text),
        closed: events.closed,
      }),
  };
  const transport = makeTransport(watched, {
    limits: options.limits ?? edgeLimits,
    callers: options.callers ?? { keepCallers: false, peerName: undefined },
    clock,
    callContext: options.callContext,
    pace: options.pace,
    onRefused: options.onRefused,
    onFailed: over.resolve,
    answers: options.answers,
    onStopping,
    intake: options.intake,
    onFrame: options.onFrame,
  });
  const { localMain, onHiddenError } = options;
  const redacted: Transport = {
    ...transport,
    send: (message) => transport.send(redactMessage(message, onHiddenError)),
  };
  // A session outlives the call in which it happened to be opened, and its read loop sets contexts of its own.
  const rpc = outsideContext(
    () => new RpcSession<RpcTarget>(redacted, localMain, { onSendError: makeRedact(onHiddenError) }),
  );
  const session: Session = {
    remoteMain: rpc.getRemoteMain(),
    get isPeerStopping() {
      return isPeerStopping;
    },
    stats: () => rpc.getStats(),
    announceStop() {
      if (channel.framing === "capnweb") return Promise.resolve();
      if (!announced) {
        announced = Promise.withResolvers();
        const cancel = clock.after(noticeMsMax, announced.resolve);
        void over.promise.then(announced.resolve as () => void);
        void announced.promise.then(cancel);
        transport.sayStopping();
      }
      return announced.promise;
    },
    drain() {
      // Once: of two drains capnweb answers one (measured). Only when it has read what has arrived, and a turn later,
      // does it know which calls are waited for.
      drained ??= transport
        .allRead()
        .then(nextTurn)
        .then(() => rpc.drain());
      return drained;
    },
    async part() {
      await session.announceStop();
      await session.drain().catch(() => {});
    },
    close(reason) {
      transport.close(reason.code === "unavailable" ? 1001 : 1008, reason);
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
    transport.sayStopping();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => afterTurn(resolve));
}
