import type { ChildProcess } from "node:child_process";

export interface HeartbeatOptions {
  /** Between two questions. Milliseconds. */
  readonly everyMs: number;
  /** So many without an answer in between, and it counts as silent. */
  readonly missedMax: number;
}

/**
 * Longer than peers take to give up a silent process (7 s), and much longer than anything of ours keeps an event loop: who
 * is killed for less would have come back.
 */
export const heartbeatDefault: HeartbeatOptions = { everyMs: 1_000, missedMax: 12 };

/**
 * Asks `child` again and again whether its event loop goes round, and tells `onSilent` once when it does not. What counts is
 * unanswered questions and not time: while our own loop is held up, nothing is asked. While it has not answered any it is
 * loading, and is not watched.
 *
 * @returns ends it.
 */
export function watchHeartbeat(
  child: ChildProcess,
  { everyMs, missedMax }: HeartbeatOptions,
  onSilent: (silentMs: number) => void,
): () => void {
  let missed = 0;
  let hasAnswered = false;
  const onMessage = (message: unknown) => {
    if (!isPong(message)) return;
    missed = 0;
    hasAnswered = true;
  };
  child.on("message", onMessage);
  // At once, so that one that has been loaded is watched from then on.
  ask();
  const timer = setInterval(() => {
    if (hasAnswered) missed += 1;
    if (missed > missedMax) {
      end();
      onSilent(missed * everyMs);
    } else ask();
  }, everyMs);
  return end;

  /** A child that has just gone is told of by its end. */
  function ask(): void {
    if (child.connected) child.send({ type: "ping" }, () => undefined);
  }

  function end(): void {
    clearInterval(timer);
    child.off("message", onMessage);
  }
}

function isPong(message: unknown): boolean {
  return typeof message === "object" && message !== null && "type" in message && message.type === "pong";
}
