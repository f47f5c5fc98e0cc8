import type { Clock } from "@flotilla/kit";

/** How often one kind of event is logged at most. Milliseconds. */
const quietMs = 60_000;

/**
 * For events that strangers or outages can repeat without end: `say` hears the first at once and then, at most once a
 * minute, the last one and how many came since.
 */
export function makeSparseLog<T>(clock: Clock, say: (last: T, count: number) => void): (event: T) => void {
  let last: T;
  let count = 0;
  let isQuiet = false;
  return (event) => {
    last = event;
    count += 1;
    if (!isQuiet) speak();
  };

  function speak(): void {
    isQuiet = count > 0;
    if (!isQuiet) return;
    say(last, count);
    count = 0;
    clock.after(quietMs, speak);
  }
}
