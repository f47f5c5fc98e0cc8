import type { RawData, WebSocket } from "ws";
import type { Cancel, Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { pingIntervalMs, pongMsMax } from "../base/limits.ts";
import { type Channel, type ChannelEvents, type Framing, subprotocol } from "./channel.ts";
import { exhausted, violation } from "./check.ts";

/** A peer that does not answer our close frame within this is cut. Milliseconds. */
const closeMsMax = 1_000;

/**
 * A channel over an open WebSocket of `ws`, with a heartbeat: a peer that vanished without closing (power, cable,
 * SIGSTOP) is noticed within `pingIntervalMs + pongMsMax`. Owns `socket`.
 */
export function makeWebSocketChannel(socket: WebSocket, clock: Clock): Channel {
  const framing: Framing = socket.protocol === subprotocol ? subprotocol : "capnweb";
  let events: ChannelEvents | undefined;
  let cancelBeat: Cancel = () => {};
  let isOver = false;

  return {
    framing,
    listen(listener) {
      events = listener;
      socket.on("message", onMessage);
      socket.on("pong", beatLater);
      socket.on("close", (code) => over(closedBy(code)));
      socket.on("error", (error) => over(failedBy(error)));
      beatLater();
    },
    send(frame) {
      if (socket.readyState === socket.OPEN) socket.send(frame);
    },
    bufferedBytes: () => socket.bufferedAmount,
    close,
    terminate: () => socket.terminate(),
  };

  function close(code: number, reason: string): void {
    if (socket.readyState >= socket.CLOSING) return;
    socket.close(code, reason);
    const cancel = clock.after(closeMsMax, () => socket.terminate());
    socket.once("close", cancel);
  }

  function onMessage(data: RawData, isBinary: boolean): void {
    if (isOver) return;
    if (isBinary) {
      close(1003, "text frames only");
      over(violation("binary frame"));
      return;
    }
    events?.frame(data.toString());
  }

  function beatLater(): void {
    cancelBeat();
    if (isOver) return;
    cancelBeat = clock.after(pingIntervalMs, () => {
      socket.ping();
      // A pong that came while this process was busy is still unread when the timer fires: let the sockets be read first.
      cancelBeat = clock.after(pongMsMax, () => {
        const immediate = setImmediate(cutSilentPeer);
        cancelBeat = () => clearImmediate(immediate);
      });
    });
  }

  function cutSilentPeer(): void {
    socket.terminate();
    over(new FlotillaError("unavailable", "The peer stopped answering"));
  }

  function over(reason: FlotillaError): void {
    if (isOver) return;
    isOver = true;
    cancelBeat();
    events?.closed(reason);
  }
}

/** RFC 6455: the peer refused a frame of ours for its size. */
const tooBig = 1009;

function closedBy(code: number): FlotillaError {
  const reason = code === tooBig ? "frame_too_large" : undefined;
  return new FlotillaError("unavailable", `The connection was closed (${code})`, { reason });
}

function failedBy(error: Error & { readonly code?: string }): FlotillaError {
  if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return exhausted("a frame above the limit");
  return new FlotillaError("unavailable", "The connection failed", { cause: error });
}
