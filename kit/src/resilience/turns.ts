import type { Cancel, Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { type Limits, overloadRetryMs, turnMsMax } from "../base/limits.ts";
import { type Load, makeQueueWatch, type Standing } from "./load.ts";

export type TurnLimits = Pick<
  Limits,
  "runningCallsMax" | "turnsPerSessionMax" | "turnsPerAddressMax" | "waitingCallsMax" | "overloadWaitMsMax"
>;

/** Of its time, what a call may spend waiting to begin; less than the other half is hardly enough to be answered. */
const waitShareMax = 0.5;

/** How often those who have waited too long are looked for among all sessions of an address. Milliseconds. */
const sweepMs = 5;

/** What decides whether a call still begins. */
export type Waiting = Pick<CallContext, "arrivedAtMs" | "deadlineAtMs">;

/**
 * A fair bulkhead for everybody at one network address: so many calls of a session, and of all sessions together, run at
 * once, and the others wait. Sessions that wait get the next turn one after the other, so that one that asks for much
 * waits for itself. A call that takes longer than `turnMsMax` gives its turn away and runs on: it waits for something
 * (a callback, a disk) and would only keep others out.
 */
export interface Turns {
  /**
   * The turns of one more session.
   * @param unread the unread messages of its network: its calls wait there before they wait here.
   */
  join(unread?: Standing): SessionTurns;
  /** Whether nothing runs and nothing waits. */
  isIdle(): boolean;
}

export interface SessionTurns {
  /**
   * @returns the turn, or a promise of it, which rejects with `unavailable` when the session ends before, and with
   *   `resource_exhausted`, reason `overloaded`, when the call has waited too long to be begun.
   * @throws FlotillaError `resource_exhausted`, reason `too_many_calls`, when too many run or wait, and `overloaded` as
   *   above; `unavailable` when the session has ended.
   */
  take(call?: Waiting): Turn | Promise<Turn>;
  /** The session is over: what waits will not run. What runs goes on. */
  end(): void;
}

export interface Turn {
  /** The call has settled. To be called once. */
  end(): void;
}

interface Member {
  readonly unread: Standing | undefined;
  hasLeft: boolean;
  held: number;
  waiting: Place[];
}

interface Place {
  readonly call: Waiting | undefined;
  resolve(turn: Turn): void;
  reject(reason: FlotillaError): void;
}

interface Held extends Turn {
  readonly member: Member;
  readonly startedAtMs: number;
}

/** @param load of the process; without it nothing is refused for having waited. */
export function makeTurns(limits: TurnLimits, clock: Clock, load?: Load): Turns {
  const { runningCallsMax, turnsPerSessionMax, turnsPerAddressMax, waitingCallsMax, overloadWaitMsMax } = limits;
  /** This address's waiting calls: neither this queue nor a session's `unread` holds anything of another network. */
  const ownQueue = makeQueueWatch();
  /** Turns that were not given away, oldest first. */
  const held = new Set<Held>();
  /** Members with somebody waiting; the first is next. */
  let queue: Member[] = [];
  let running = 0;
  let waiting = 0;
  let sweptAtMs = Number.NEGATIVE_INFINITY;
  let cancelAlarm: Cancel | undefined;

  return { join, isIdle: () => running === 0 && waiting === 0 };

  function join(unread?: Standing): SessionTurns {
    const member: Member = { unread, hasLeft: false, held: 0, waiting: [] };
    return { take: (call) => take(member, call), end: () => end(member) };
  }

  function take(member: Member, call?: Waiting): Turn | Promise<Turn> {
    if (member.hasLeft) throw sessionEnded();
    if (running >= runningCallsMax) throw tooMany(`More than ${runningCallsMax} calls at once`);
    if (member.waiting.length === 0 && mayRun(member)) {
      if (isTooLate(member, call)) {
        load!.refused();
        throw overloaded;
      }
      return grant(member);
    }
    // However many the neighbours at its address have waiting, a session has a few places of its own.
    if (waiting >= waitingCallsMax && member.waiting.length >= turnsPerSessionMax) {
      throw tooMany(`More than ${waitingCallsMax} calls wait`);
    }
    if (member.waiting.length === 0) queue.push(member);
    if (waiting === 0) ownQueue.emptied(clock.monotonicMs());
    waiting += 1;
    const turn = new Promise<Turn>((resolve, reject) => member.waiting.push({ call, resolve, reject }));
    setAlarm();
    return turn;
  }

  /**
   * What has waited too long is not begun: while there is overload after a short time, else when half of its own is over.
   * Calls of this process among themselves did not arrive, and do not wait.
   */
  function isTooLate({ unread }: Member, call: Waiting | undefined): boolean {
    if (!load || call?.arrivedAtMs === undefined) return false;
    const nowMs = clock.monotonicMs();
    if (waiting === 0) ownQueue.emptied(nowMs);
    const waitedMs = nowMs - call.arrivedAtMs;
    if (waitedMs <= overloadWaitMsMax) return false;
    const timeMs = call.deadlineAtMs - call.arrivedAtMs;
    const isStanding = ownQueue.waited(waitedMs, timeMs, nowMs) || unread?.waited(waitedMs, timeMs, nowMs) === true;
    return isStanding || waitedMs > timeMs * waitShareMax;
  }

  function mayRun(member: Member): boolean {
    return member.held < turnsPerSessionMax && held.size < turnsPerAddressMax && running < runningCallsMax;
  }

  function grant(member: Member): Turn {
    const turn: Held = { member, startedAtMs: clock.monotonicMs(), end: () => giveBack(turn) };
    held.add(turn);
    member.held += 1;
    running += 1;
    return turn;
  }

  function giveBack(turn: Held): void {
    running -= 1;
    if (held.delete(turn)) turn.member.held -= 1;
    if (waiting === 0) return;
    pass();
    setAlarm();
  }

  /** Gives turns out until none is left or nobody may have one. */
  function pass(): void {
    refuseAllLate();
    let refused = 0;
    while (refused < queue.length) {
      const member = queue.shift()!;
      if (mayRun(member)) {
        refused = 0;
        nextInTime(member)?.resolve(grant(member));
      } else {
        refused += 1;
      }
      if (member.waiting.length > 0) queue.push(member);
    }
  }

  /** The first that may still begin; those before it are refused. */
  function nextInTime(member: Member): Place | undefined {
    refuseLate(member);
    if (member.waiting.length === 0) return undefined;
    waiting -= 1;
    return member.waiting.shift();
  }

  function refuseLate(member: Member): void {
    const { waiting: places } = member;
    while (places.length > 0 && isTooLate(member, places[0]!.call)) {
      waiting -= 1;
      const { reject } = places.shift()!;
      load!.refuse(() => reject(overloaded));
    }
  }

  /** While there is overload nobody waits for their session's turn to hear that they are refused. */
  function refuseAllLate(): void {
    if (!load || !(ownQueue.isStanding || queue.some(({ unread }) => unread?.isStanding))) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - sweptAtMs < sweepMs) return;
    sweptAtMs = nowMs;
    for (const member of queue) refuseLate(member);
    queue = queue.filter((member) => member.waiting.length > 0);
  }

  function setAlarm(): void {
    const [oldest] = held;
    if (cancelAlarm || waiting === 0 || !oldest) return;
    cancelAlarm = clock.after(oldest.startedAtMs + turnMsMax - clock.monotonicMs(), () => {
      cancelAlarm = undefined;
      takeFromTheSlow();
      setAlarm();
    });
  }

  function takeFromTheSlow(): void {
    const nowMs = clock.monotonicMs();
    for (const turn of held) {
      if (turn.startedAtMs + turnMsMax > nowMs) break;
      held.delete(turn);
      turn.member.held -= 1;
    }
    pass();
  }

  function end(member: Member): void {
    member.hasLeft = true;
    const dropped = member.waiting;
    member.waiting = [];
    queue = queue.filter((other) => other !== member);
    waiting -= dropped.length;
    for (const { reject } of dropped) reject(sessionEnded());
  }
}

function sessionEnded(): FlotillaError {
  return new FlotillaError("unavailable", "The session has ended");
}

function tooMany(message: string): FlotillaError {
  return new FlotillaError("resource_exhausted", message, { reason: "too_many_calls" });
}

/** Of what was refused because there was too much else to do: it was not begun. */
export const overloadedReason = "overloaded";

/** One for all: whoever hears it gets one of their own, with their own `requestId`. */
const overloaded = new FlotillaError("resource_exhausted", "The service has more to do than it can; try again later", {
  reason: overloadedReason,
  retryAfterMs: overloadRetryMs,
});
