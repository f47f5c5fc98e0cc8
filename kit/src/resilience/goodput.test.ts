import { expect, test } from "vitest";
import type { Clock } from "../base/clock.ts";
import { edgeLimits } from "../base/limits.ts";
import { makeLoad } from "./load.ts";
import { makeThrottle } from "./throttle.ts";
import { makeTurns, type Turn } from "./turns.ts";

/** Of a call, its answer included. Milliseconds. */
const serviceMs = 10;
const patienceMs = 1_000;
const clientCount = 64;
/** Calls in a millisecond that a server which runs so many at once can answer. */
const capacity = edgeLimits.turnsPerAddressMax / serviceMs;

interface Report {
  /** In each second. */
  readonly answered: number[];
  readonly refusedAfterMs: number[];
  /** Answered when nobody waited any more. */
  late: number;
}

/**
 * Time in steps of a millisecond: calls arrive evenly at 64 clients, whatever becomes of those before them; the server is
 * its turns, and each call takes as long as the others.
 */
async function offer(factor: number, seconds: number, isThrottled: boolean): Promise<Report> {
  let nowMs = 0;
  const due = new Map<number, (() => void)[]>();
  const at = (ms: number, run: () => void) => due.set(ms, [...(due.get(ms) ?? []), run]);
  const clock: Clock = { now: () => nowMs, monotonicMs: () => nowMs, after: () => () => {} };
  const load = makeLoad(clock);
  const turns = makeTurns(edgeLimits, clock, load);
  const random = evenly();
  const clients = Array.from({ length: clientCount }, () => ({
    turns: turns.join(),
    throttle: makeThrottle("home", clock, random),
  }));
  const report: Report = { answered: Array.from({ length: seconds }, () => 0), refusedAfterMs: [], late: 0 };
  let arrived = 0;

  for (; nowMs < seconds * 1_000; nowMs += 1) {
    for (const run of due.get(nowMs) ?? []) run();
    due.delete(nowMs);
    for (; arrived < nowMs * capacity * factor; arrived += 1) await call(clients[arrived % clientCount]!, nowMs);
    // What was granted or refused in this step has been heard of before the next.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return report;

  async function call({ turns, throttle }: (typeof clients)[number], atMs: number): Promise<void> {
    const run = (turn: Turn) =>
      at(nowMs + serviceMs, () => {
        turn.end();
        throttle.onAnswer(false);
        const second = Math.floor(nowMs / 1_000);
        if (nowMs - atMs > patienceMs) report.late += 1;
        else report.answered[second] = report.answered[second]! + 1;
      });
    try {
      if (isThrottled) throttle.pass();
    } catch {
      report.refusedAfterMs.push(0);
      return;
    }
    throttle.onAsked();
    const refuse = () => {
      report.refusedAfterMs.push(nowMs - atMs);
      throttle.onAnswer(true);
    };
    try {
      const turn = turns.take({ arrivedAtMs: atMs, deadlineAtMs: atMs + patienceMs });
      if (turn instanceof Promise) turn.then(run, refuse);
      else run(turn);
    } catch {
      refuse();
    }
  }
}

/** From 0 to 1, evenly. */
function evenly(): () => number {
  let last = 0;
  return () => {
    last = (last + 0.618_033_988_75) % 1;
    return last;
  };
}

test.each([true, false])(
  "ten times what can be answered leaves what is answered as it is, and the rest is refused soon (throttled: %s)",
  async (isThrottled) => {
    const seconds = 6;
    const peak = (await offer(1, 3, isThrottled)).answered[1]!;
    expect(peak).toBeGreaterThan(0.95 * capacity * 1_000);
    const { answered, refusedAfterMs, late } = await offer(10, seconds, isThrottled);
    expect(late).toBe(0);
    expect(Math.min(...answered.slice(1))).toBeGreaterThan(0.95 * peak);
    // After the second that it takes to tell a burst from overload.
    const settled = refusedAfterMs.slice(-Math.floor(refusedAfterMs.length / 2)).sort((a, b) => a - b);
    expect(settled[Math.floor(settled.length * 0.99)]).toBeLessThanOrEqual(20);
  },
);
