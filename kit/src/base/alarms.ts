import type { Cancel, Clock } from "./clock.ts";

/** Moments that are nearly never reached, such as the deadlines of calls: all of one clock share a timer. */
export interface Alarms {
  /** Runs `ring` once it is `atMs` on `Clock.monotonicMs`. Cancelling twice, or after it rang, does nothing. */
  set(atMs: number, ring: () => void): Cancel;
}

interface Alarm {
  readonly atMs: number;
  readonly ring: () => void;
}

const alarmsByClock = new WeakMap<Clock, Alarms>();

export function alarmsOf(clock: Clock): Alarms {
  let alarms = alarmsByClock.get(clock);
  if (!alarms) {
    alarms = makeAlarms(clock);
    alarmsByClock.set(clock, alarms);
  }
  return alarms;
}

function makeAlarms(clock: Clock): Alarms {
  const pending = new Set<Alarm>();
  /** When the timer goes off; infinite when none is set. It may be too soon: what it was for was cancelled. */
  let timerAtMs = Number.POSITIVE_INFINITY;
  let cancelTimer: Cancel = () => {};

  return {
    set(atMs, ring) {
      const alarm: Alarm = { atMs, ring };
      pending.add(alarm);
      if (atMs < timerAtMs) setTimer(atMs);
      return () => {
        if (pending.delete(alarm) && pending.size === 0) clearTimer();
      };
    },
  };

  function clearTimer(): void {
    cancelTimer();
    timerAtMs = Number.POSITIVE_INFINITY;
  }

  function setTimer(atMs: number): void {
    cancelTimer();
    timerAtMs = atMs;
    cancelTimer = clock.after(atMs - clock.monotonicMs(), onTimer);
  }

  function onTimer(): void {
    timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    const due: Alarm[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const alarm of pending) {
      if (alarm.atMs <= nowMs) due.push(alarm);
      else nextMs = Math.min(nextMs, alarm.atMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) setTimer(nextMs);
    // One that rings may cancel another.
    for (const alarm of due) if (pending.delete(alarm)) alarm.ring();
  }
}
