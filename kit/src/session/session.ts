import { RpcSession, type RpcStub, type RpcTarget } from "capnweb";
import { systemClock } from "../base/clock.ts";
import { outsideContext } from "../base/context.ts";
import type { FlotillaError } from "../base/errors.ts";
import { edgeLimits } from "../base/limits.ts";
import type { Channel } from "../transport/channel.ts";
import { makeTransport, type TransportOptions } from "../transport/transport.ts";
import { makeRedact, type OnHiddenError } from "./redact.ts";

/** One live connection between two processes, with both directions' main objects. */
export interface Session {
  /** The peer's main object. Borrowed: disposing it would end the session. */
  readonly remoteMain: RpcStub<RpcTarget>;
  /** Entries in capnweb's tables; 1 and 1 when nothing is held in either direction. */
  stats(): { imports: number; exports: number };
  /** Resolves when every call that the peer waits for was answered. Once per session (capnweb loses a second). */
  drain(): Promise<void>;
  close(reason: FlotillaError): void;
  /** Resolves with the reason when the session is over, however that came. */
  readonly closed: Promise<FlotillaError>;
}

export interface SessionOptions extends Partial<TransportOptions> {
  /** What the peer may call. Owned by the session: disposed when it ends. */
  readonly localMain?: RpcTarget | undefined;
  readonly onHiddenError?: OnHiddenError | undefined;
}

/** Starts capnweb on `channel`, which it owns from now on. */
export function openSession(channel: Channel, options: SessionOptions = {}): Session {
  const over = Promise.withResolvers<FlotillaError>();
  const watched: Channel = {
    ...channel,
    listen: (events) =>
      channel.listen({
        frame: events.frame,
        closed(reason) {
          events.closed(reason);
          over.resolve(reason);
        },
      }),
  };
  const transport = makeTransport(watched, {
    limits: options.limits ?? edgeLimits,
    callers: options.callers ?? { keepCallers: false, peerName: undefined },
    clock: options.clock ?? systemClock,
    callContext: options.callContext,
    onFrame: options.onFrame,
  });
  // A session outlives the call in which it happened to be opened, and its read loop sets contexts of its own.
  const rpc = outsideContext(
    () => new RpcSession<RpcTarget>(transport, options.localMain, { onSendError: makeRedact(options.onHiddenError) }),
  );
  return {
    remoteMain: rpc.getRemoteMain(),
    stats: () => rpc.getStats(),
    drain: () => rpc.drain(),
    close(reason) {
      transport.close(reason.code === "unavailable" ? 1001 : 1008, reason);
      over.resolve(reason);
    },
    closed: over.promise,
  };
}
