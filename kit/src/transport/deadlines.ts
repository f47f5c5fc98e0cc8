import { alarmsOf } from "../base/alarms.ts";
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
  const contexts = new Map<number, CallContext>();
  /** Of the calls that somebody waits for. */
  const alarms = new Map<number, Cancel>();

  return {
    started(context) {
      contexts.set(nextId, context);
      nextId += 1;
    },
    pulled(id) {
      const context = contexts.get(id);
      if (!context || alarms.has(id)) return;
      const ring = () => {
        forget(id);
        deliver(deadlineReject(id, context.traceId));
      };
      alarms.set(id, alarmsOf(clock).set(context.deadlineAtMs, ring));
    },
    settled: forget,
    clear() {
      for (const cancel of alarms.values()) cancel();
      alarms.clear();
      contexts.clear();
    },
  };

  function forget(id: number): void {
    alarms.get(id)?.();
    alarms.delete(id);
    contexts.delete(id);
  }
}

function deadlineReject(id: number, requestId: string): unknown {
  const fields = { code: "deadline_exceeded", retryable: false, requestId };
  return ["reject", id, ["error", "deadline_exceeded", "The call took longer than its deadline", null, fields]];
}
