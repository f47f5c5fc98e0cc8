import type { Cancel, Clock } from "./clock.ts";

/** A moment that is nearly never reached, such as the deadline of a call. It stands in the list of its clock by itself. */
export interface Alarm {
  /** On `Clock.monotonicMs`. Not changed while it is set. */
  readonly atMs: number;
  ring(): void;
  /** Its neighbours in the list; both undefined while it is not set. For `Alarms` alone. */
  before: Alarm | undefined;
  after: Alarm | undefined;
}

/**
 * The alarms of one clock, which share a timer. A linked list and no Set: each call sets one and takes it back, and a
 * table that is filled and emptied all the time keeps what it held until the next full collection.
 */
export interface Alarms {
  /** Rings once it is `atMs`. One that is set already is left as it is. */
  set(alarm: Alarm): void;
  /** It does not ring any more. Does nothing for one that is not set, or rang. */
  cancel(alarm: Alarm): void;
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
  /** Stands before the first and after the last. */
  const ends: Alarm = { atMs: Number.POSITIVE_INFINITY, ring() {}, before: undefined, after: undefined };
  ends.before = ends.after = ends;
  /** When the timer goes off; infinite when none is set. It may be too soon: what it was for was cancelled. */
  let timerAtMs = Number.POSITIVE_INFINITY;
  let cancelTimer: Cancel = () => {};

  return {
    set(alarm) {
      if (alarm.after) return;
      const last = ends.before!;
      alarm.before = last;
      alarm.after = ends;
      last.after = ends.before = alarm;
      if (alarm.atMs < timerAtMs) setTimer(alarm.atMs);
    },
    cancel(alarm) {
      if (!alarm.after) return;
      takeOut(alarm);
      if (ends.after === ends) clearTimer();
    },
  };

  function takeOut(alarm: Alarm): void {
    alarm.before!.after = alarm.after;
    alarm.after!.before = alarm.before;
    alarm.before = alarm.after = undefined;
  }

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
    for (let alarm = ends.after!; alarm !== ends; alarm = alarm.after!) {
      if (alarm.atMs <= nowMs) due.push(alarm);
      else nextMs = Math.min(nextMs, alarm.atMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) setTimer(nextMs);
    for (const alarm of due) {
      // One that rings may cancel another.
      if (!alarm.after) continue;
      takeOut(alarm);
      alarm.ring();
    }
  }
}
