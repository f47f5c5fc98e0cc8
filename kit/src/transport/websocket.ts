import type { RawData, WebSocket } from "ws";
import type { Cancel, Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { intakeCosts, type Limits, pingIntervalMs, pongMsMax } from "../base/limits.ts";
import { makeTokenBucket } from "../resilience/token-bucket.ts";
import { type Channel, type ChannelEvents, framingOf } from "./channel.ts";
import { exhausted, sessionEnded, violation } from "./refusals.ts";

/** A peer that does not answer our close frame within this is cut. Milliseconds. */
const closeMsMax = 1_000;

/** A peer that says nothing for so long is gone: it was pinged at least `pongMsMax` ago. Milliseconds. */
const silenceMsMax = pingIntervalMs + pongMsMax;

export interface WebSocketChannelOptions {
  /** Default: as many control frames as come. */
  readonly limits?: Pick<Limits, "controlFramesPerSecondMax" | "controlFramesBurstMax"> | undefined;
  /** Is charged for each frame that was parsed (µs). */
  readonly spend?: ((us: number) => void) | undefined;
}

/**
 * A channel over an open WebSocket of `ws`, with a heartbeat: a peer that vanished without closing (power, cable,
 * SIGSTOP) is noticed within `pingIntervalMs + pongMsMax`. Whatever it says is a sign of life, so that one whose answer
 * stands behind much else on a slow line is not taken for gone. Owns `socket`.
 */
export function makeWebSocketChannel(
  socket: WebSocket,
  clock: Clock,
  { limits, spend }: WebSocketChannelOptions = {},
): Channel {
  const controlFrames = makeTokenBucket({
    calls: limits?.controlFramesPerSecondMax ?? Number.POSITIVE_INFINITY,
    perMs: 1_000,
    burst: limits?.controlFramesBurstMax ?? Number.POSITIVE_INFINITY,
  });
  let events: ChannelEvents | undefined;
  let cancelBeat: Cancel = () => {};
  let isOver = false;
  let heardAtMs = clock.monotonicMs();
  let pingAtMs = heardAtMs + pingIntervalMs;
  /** Pings that have not left this process yet: they stand behind what was sent before. */
  let pingsWaiting = 0;
  let sentBytes = 0;
  let leftBytes = Number.NEGATIVE_INFINITY;

  return {
    framing: framingOf(socket.protocol),
    listen(listener) {
      events = listener;
      socket.on("message", onMessage);
      socket.on("ping", onControlFrame);
      socket.on("pong", onControlFrame);
      socket.on("close", (code) => over(closedBy(code)));
      socket.on("error", (error) => over(failedBy(error)));
      beatLater();
    },
    send(frame) {
      if (socket.readyState !== socket.OPEN) return;
      sentBytes += frame.length;
      socket.send(frame);
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
    spend?.(intakeCosts.frame);
    if (isOver) return;
    heard();
    if (isBinary) {
      close(1003, "text frames only");
      over(violation("binary frame"));
      return;
    }
    events?.frame(data.toString());
  }

  function onControlFrame(): void {
    spend?.(intakeCosts.frame);
    if (isOver) return;
    heard();
    if (controlFrames.take(clock.monotonicMs())) return;
    const refusal = exhausted(`more than ${limits?.controlFramesPerSecondMax} control frames per second`);
    close(1008, refusal.code);
    over(refusal);
  }

  function heard(): void {
    heardAtMs = clock.monotonicMs();
  }

  function beatLater(): void {
    const nextMs = Math.min(pingAtMs, heardAtMs + silenceMsMax) - clock.monotonicMs();
    cancelBeat = clock.after(nextMs, beat);
  }

  function beat(): void {
    if (clock.monotonicMs() >= pingAtMs) ping();
    if (!isSilent()) {
      beatLater();
      return;
    }
    // What came while this process was busy is still unread when the timer fires: let the sockets be read first.
    const immediate = setImmediate(() => {
      if (isSilent() && !isMoving()) cutSilentPeer();
      else beatLater();
    });
    cancelBeat = () => clearImmediate(immediate);
  }

  function ping(): void {
    pingAtMs = clock.monotonicMs() + pingIntervalMs;
    if (socket.readyState !== socket.OPEN) return;
    pingsWaiting += 1;
    socket.ping(undefined, undefined, () => {
      pingsWaiting -= 1;
    });
  }

  function isSilent(): boolean {
    return clock.monotonicMs() >= heardAtMs + silenceMsMax;
  }

  /** Whether the peer cannot have heard our ping yet, but takes what stands before it: it is given as long again. */
  function isMoving(): boolean {
    const before = leftBytes;
    leftBytes = sentBytes - socket.bufferedAmount;
    const isMoving = pingsWaiting > 0 && leftBytes > before;
    if (isMoving) heard();
    return isMoving;
  }

  function cutSilentPeer(): void {
    socket.terminate();
    over(new FlotillaError("unavailable", "The peer stopped answering"));
  }

  function over(reason: FlotillaError): void {
    if (isOver) return;
    isOver = true;
    cancelBeat();
    events?.closed(reason, reason.code === "unavailable" ? reason : sessionEnded(reason));
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
  if (error.code === "WS_ERR_TOO_MANY_BUFFERED_PARTS") return exhausted("a message of too many fragments");
  return new FlotillaError("unavailable", "The connection failed", { cause: error });
}
