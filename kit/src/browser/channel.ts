import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { type Channel, type ChannelEvents, framingOf } from "../transport/channel.ts";
import { sessionEnded, violation } from "../transport/refusals.ts";

/** Pages may close with 1000 or with codes from here on; ours of the protocol's own range move up. */
const pageCodesMin = 3_000;

export interface BrowserChannel extends Channel {
  /** On the clock that it was given: when the peer's last frame came. */
  readonly heardAtMs: number;
  /** How many came: browsers make their clocks coarse. */
  readonly heardCount: number;
}

/**
 * A channel over an open WebSocket of a browser's. It has no heartbeat, for a page can neither ping nor see that it was
 * pinged: who owns the channel asks the peer something instead. Owns `socket`.
 */
export function makeBrowserChannel(socket: WebSocket, clock: Clock): BrowserChannel {
  let events: ChannelEvents | undefined;
  let isOver = false;
  let heardAtMs = clock.monotonicMs();
  let heardCount = 0;

  return {
    framing: framingOf(socket.protocol),
    get heardAtMs() {
      return heardAtMs;
    },
    get heardCount() {
      return heardCount;
    },
    listen(listener) {
      events = listener;
      socket.onmessage = onMessage;
      socket.onclose = ({ code }) => over(new FlotillaError("unavailable", `The connection was closed (${code})`));
    },
    send(frame) {
      if (!isOver && socket.readyState === socket.OPEN) socket.send(frame);
    },
    bufferedBytes: () => socket.bufferedAmount,
    close(code, reason) {
      socket.close(code === 1_000 ? code : code + pageCodesMin, reason);
    },
    // A page cannot cut a connection. What still comes of one that was given up is not read.
    terminate() {
      socket.close();
      over(new FlotillaError("unavailable", "The peer stopped answering"));
    },
  };

  function onMessage({ data }: MessageEvent<unknown>): void {
    heardAtMs = clock.monotonicMs();
    heardCount += 1;
    if (isOver) return;
    if (typeof data === "string") {
      events?.frame(data);
      return;
    }
    socket.close(pageCodesMin + 1_003, "text frames only");
    over(violation("binary frame"));
  }

  function over(reason: FlotillaError): void {
    if (isOver) return;
    isOver = true;
    events?.closed(reason, reason.code === "unavailable" ? reason : sessionEnded(reason));
  }
}
