/** Keeps one peer's flood of messages from holding the event loop: after so many, everybody's sockets are read first. */
export interface Pace {
  /**
   * Undefined when the next message may be read now; otherwise a promise that resolves in a later turn of the event loop.
   * Readers that wait go on one after the other, each with one message.
   */
  next(): Promise<void> | undefined;
}

/**
 * @param perTurn messages of all sessions that share it. Undefined, no pace, when that is without bound.
 * @param onEmpty hears that nobody waits, at most once in a turn of the event loop.
 */
export function makePace(perTurn: number, onEmpty?: () => void): Pace | undefined {
  if (!Number.isFinite(perTurn)) return undefined;
  let left = perTurn;
  let waiting: (() => void)[] = [];
  let isCounting = false;

  return {
    next() {
      countTurn();
      if (left > 0 && waiting.length === 0) {
        left -= 1;
        return undefined;
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
  };

  function countTurn(): void {
    if (isCounting) return;
    isCounting = true;
    if (waiting.length === 0) onEmpty?.();
    setImmediate(() => {
      isCounting = false;
      const next = waiting.slice(0, perTurn);
      waiting = waiting.slice(perTurn);
      left = perTurn - next.length;
      if (waiting.length > 0) countTurn();
      for (const resolve of next) resolve();
    });
  }
}
