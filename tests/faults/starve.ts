/** Milliseconds. */
const periodMs = 100;

/** Lets processes run for a share of the time only, from 0 to 1, all of them at the same moments. Disposing lets them go on. */
export function starve(pids: readonly number[], share: number): Disposable {
  const signal = (name: NodeJS.Signals) => {
    for (const pid of pids) {
      try {
        process.kill(pid, name);
      } catch {
        // It has ended; the others are not to stand still for that.
      }
    }
  };
  let stopAgain: NodeJS.Timeout | undefined;
  const turn = setInterval(() => {
    signal("SIGCONT");
    stopAgain = setTimeout(() => signal("SIGSTOP"), periodMs * share);
  }, periodMs);
  return {
    [Symbol.dispose]() {
      clearInterval(turn);
      clearTimeout(stopAgain);
      signal("SIGCONT");
    },
  };
}
