/** Who waits for a turn. */
export interface TurnsOptions {
  /** At once. */
  readonly max: number;
  readonly waitingMax: number;
  /** What is thrown when there are too many, or it takes too long. */
  readonly refusal: () => Error;
}

/** Does `work` when it is its turn, first come, first served. @param waitMsMax how long it waits for it. */
export type InTurn = <T>(work: () => Promise<T>, waitMsMax: number) => Promise<T>;

export function makeTurns({ max, waitingMax, refusal }: TurnsOptions): InTurn {
  const waiting = new Set<() => void>();
  let taken = 0;

  async function take(waitMsMax: number): Promise<void> {
    if (taken < max) {
      taken += 1;
      return;
    }
    if (waiting.size >= waitingMax) throw refusal();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.add(resolve);
    const timer = setTimeout(() => {
      waiting.delete(resolve);
      reject(refusal());
    }, waitMsMax);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** To who waits longest, or to nobody. */
  function pass(): void {
    const [next] = waiting;
    if (!next) taken -= 1;
    else {
      waiting.delete(next);
      next();
    }
  }

  return async (work, waitMsMax) => {
    await take(waitMsMax);
    try {
      return await work();
    } finally {
      pass();
    }
  };
}
