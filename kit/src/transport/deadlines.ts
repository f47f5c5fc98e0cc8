import type { Cancel, Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";

/** Follows the calls that one session has under way, and ends those that somebody waits for when their time is up. */
export interface Deadlines {
  /** The next call, in the order in which capnweb numbers them (1, 2, …). */
  started(context: CallContext): void;
  /** Somebody waits for this call. */
  pulled(id: number): void;
  settled(id: number): void;
  clear(): void;
}

/**
 * A peer that stays silent must not hold a caller beyond its deadline, and capnweb has no time-outs: so at the deadline
 * `deliver` gets a `reject` message as if the peer had sent it. Doing it here covers every call of every stub, pipelined
 * and relayed ones included, without wrapping any.
 */
export function makeDeadlines(clock: Clock, deliver: (message: unknown) => void): Deadlines {
  let nextId = 1;
  const started = new Map<number, CallContext>();
  const pulled = new Set<number>();
  let alarmAtMs = Number.POSITIVE_INFINITY;
  let cancelAlarm: Cancel | undefined;

  return {
    started(context) {
      started.set(nextId, context);
      nextId += 1;
    },
    pulled(id) {
      const context = started.get(id);
      if (!context) return;
      pulled.add(id);
      setAlarm(context.deadlineAtMs);
    },
    settled(id) {
      started.delete(id);
      pulled.delete(id);
    },
    clear() {
      cancelAlarm?.();
      cancelAlarm = undefined;
      alarmAtMs = Number.POSITIVE_INFINITY;
      started.clear();
      pulled.clear();
    },
  };

  function setAlarm(atMs: number): void {
    if (atMs >= alarmAtMs) return;
    cancelAlarm?.();
    alarmAtMs = atMs;
    cancelAlarm = clock.after(atMs - clock.monotonicMs(), ring);
  }

  function ring(): void {
    alarmAtMs = Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const id of pulled) {
      const context = started.get(id);
      if (!context) continue;
      if (context.deadlineAtMs > nowMs) {
        nextMs = Math.min(nextMs, context.deadlineAtMs);
        continue;
      }
      started.delete(id);
      pulled.delete(id);
      deliver(deadlineReject(id, context.traceId));
    }
    if (nextMs < Number.POSITIVE_INFINITY) setAlarm(nextMs);
  }
}

function deadlineReject(id: number, requestId: string): unknown {
  const fields = { code: "deadline_exceeded", retryable: false, requestId };
  return ["reject", id, ["error", "deadline_exceeded", "The call took longer than its deadline", null, fields]];
}
