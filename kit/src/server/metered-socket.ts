import type { Socket } from "node:net";

/**
 * Bytes are passed on in slices of this size, so that one read of 64 KiB can't cost more than a slice beyond its budget:
 * 80 requests, or 340 control frames.
 */
const sliceBytes = 2_048;

/** Decides when what has arrived on a socket is passed on. */
export interface Gate {
  /** Asked before each slice. When it answers false it calls `next` later. */
  mayPass(): boolean;
  /** Hears of each slice before it is parsed. */
  passes(bytes: number): void;
}

export interface MeteredSocket {
  /** Passes on one slice. @returns whether another one waits for the gate. */
  next(): boolean;
  /** Passes on everything from now on, and takes the meter off. */
  open(): void;
}

/**
 * Puts `gate` between a socket and what parses it: node:http's parser first, then that of ws. What the gate holds back
 * isn't read on either, so it fills the buffers of TCP and the sender waits.
 *
 * The meter sits below the stream, at `push` and `_read`, the two methods by which every Readable is fed: above it
 * pausing belongs to node:http and ws, and a second hand on it would let their parsers run while they are paused.
 */
export function meterSocket(socket: Socket, gate: Gate): MeteredSocket {
  const push = socket.push;
  const read = socket._read;
  /** Chunks that have arrived and wait to be passed on; null is the end. At most one read of 64 KiB, and the end. */
  let held: (Buffer | null)[] = [];
  let isPumping = false;
  let isOpen = false;

  // A server of node:http reads past the stream until somebody listens for data.
  socket.on("data", pumpLater);
  socket.push = (chunk: Buffer | null) => {
    held.push(chunk);
    pump();
    return held.length === 0;
  };
  socket._read = () => {
    if (held.length > 0) pumpLater();
    else read.call(socket, 0);
  };

  return {
    next() {
      if (canPass()) pass();
      readOn();
      return canPass();
    },
    open() {
      isOpen = true;
      pump();
    },
  };

  /** Not while an earlier slice is still queued in the stream, which would then pass on many at once, uncharged. */
  function canPass(): boolean {
    return held.length > 0 && !socket.destroyed && (isOpen || socket.readableLength === 0);
  }

  function pumpLater(): void {
    if (!isPumping && held.length > 0) process.nextTick(pump);
  }

  function pump(): void {
    if (isPumping) return;
    isPumping = true;
    while (canPass() && (isOpen || gate.mayPass())) pass();
    isPumping = false;
    readOn();
  }

  function pass(): void {
    const chunk = held[0]!;
    if (chunk && chunk.length > sliceBytes) held[0] = chunk.subarray(sliceBytes);
    else held.shift();
    const slice = chunk?.subarray(0, sliceBytes) ?? null;
    if (slice && !isOpen) gate.passes(slice.length);
    push.call(socket, slice);
  }

  function readOn(): void {
    if (socket.destroyed) held = [];
    if (held.length > 0) return;
    if (isOpen) {
      socket.off("data", pumpLater);
      socket.push = push;
      socket._read = read;
    }
    if (!socket.destroyed) read.call(socket, 0);
  }
}
