import { type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Channel, ChannelEvents, Framing } from "./channel.ts";

/** What `makeMemoryLink` takes. */
export interface MemoryLinkOptions {
  readonly framing?: Framing;
  /** One way, on `clock`. */
  readonly delayMs?: number;
  readonly clock?: Clock;
}

/** Two ends in one process. Frames arrive in order, after the delay, never in the turn in which they were sent. */
export interface MemoryLink {
  readonly left: Channel;
  readonly right: Channel;
  /** The cable is cut: both ends learn it at once, frames under way are lost. */
  cut(): void;
}

/** Default: our own framing, no delay. */
export function makeMemoryLink(options: MemoryLinkOptions = {}): MemoryLink {
  const { framing = "flotilla.v1", delayMs = 0, clock = systemClock } = options;
  const left = makeEnd();
  const right = makeEnd();
  left.peer = right;
  right.peer = left;
  return { left: left.channel, right: right.channel, cut };

  function cut(): void {
    const reason = new FlotillaError("unavailable", "The connection was cut");
    left.over(reason);
    right.over(reason);
  }

  interface End {
    readonly channel: Channel;
    peer: End | undefined;
    arrive(frame: string): void;
    over(reason: FlotillaError): void;
  }

  function makeEnd(): End {
    let events: ChannelEvents | undefined;
    let isOver = false;
    const end: End = {
      peer: undefined,
      channel: {
        framing,
        listen(listener) {
          events = listener;
        },
        send(frame) {
          if (!isOver) later(() => end.peer?.arrive(frame));
        },
        bufferedBytes: () => 0,
        close: hangUp,
        terminate: hangUp,
      },
      arrive(frame) {
        if (!isOver) events?.frame(frame);
      },
      over(reason) {
        if (isOver) return;
        isOver = true;
        events?.closed(reason);
      },
    };
    return end;

    function hangUp(): void {
      if (isOver) return;
      const reason = new FlotillaError("unavailable", "The connection was closed");
      later(() => end.peer?.over(reason));
      end.over(reason);
    }
  }

  function later(run: () => void): void {
    if (delayMs === 0) setImmediate(run);
    else clock.after(delayMs, run);
  }
}
