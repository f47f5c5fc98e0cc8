import type { FlotillaError } from "../base/errors.ts";

/**
 * How messages are put into frames, chosen by the WebSocket subprotocol when the session opens.
 * `flotilla.v1`: newline-joined messages with context lines (docs/protocol.md). `capnweb`: one message per frame, what
 * any stock Cap'n Web peer speaks. `batch`: one frame of newline-joined messages comes, and each answer is a frame.
 */
export type Framing = "flotilla.v1" | "capnweb" | "batch";

/** A client offers these. A stock server that chooses one takes the first. */
export const offeredProtocols: readonly Framing[] = ["capnweb", "flotilla.v1"];

/** @returns the one that a server chooses: ours, if it is offered; undefined where none is, as by a stock client. */
export function chosenProtocol(offered: ReadonlySet<string>): Framing | undefined {
  return offeredProtocols.findLast((framing) => offered.has(framing));
}

/** @returns how a session speaks whose subprotocol is `chosen`. */
export function framingOf(chosen: string): Framing {
  return chosen === "flotilla.v1" ? chosen : "capnweb";
}

/** Hears what comes of a channel. */
export interface ChannelEvents {
  frame(text: string): void;
  /** Once, for any reason; nothing comes after it. Calls under way fail with `heard`. Default: `reason`. */
  closed(reason: FlotillaError, heard?: FlotillaError): void;
}

/** A duplex of text frames in order: a WebSocket, or two ends in one process. */
export interface Channel {
  readonly framing: Framing;
  /** Set once, before the first frame can arrive. */
  listen(events: ChannelEvents): void;
  /** After close it does nothing. */
  send(frame: string): void;
  /** Bytes accepted by `send` that the peer's side has not taken. */
  bufferedBytes(): number;
  /** Sends what is buffered, then closes; a peer that does not answer is cut. Idempotent. */
  close(code: number, reason: string): void;
  /** Cuts at once. Idempotent. */
  terminate(): void;
}
