import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { watchHeartbeat } from "./heartbeat.ts";

const everyMs = 1_000;
const missedMax = 3;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A child that answers while `isAwake`. */
function makeChild() {
  const child = Object.assign(new EventEmitter(), {
    connected: true,
    isAwake: true,
    send(message: object) {
      if (child.isAwake) child.emit("message", { ...message, type: "pong" });
    },
  });
  return child;
}

function watch(child: ReturnType<typeof makeChild>) {
  const onSilent = vi.fn<(silentMs: number) => void>();
  const end = watchHeartbeat(child as unknown as ChildProcess, { everyMs, missedMax }, onSilent);
  return { onSilent, end };
}

test("a child that answers is never silent", () => {
  const { onSilent, end } = watch(makeChild());
  vi.advanceTimersByTime(100 * everyMs);
  end();
  expect(onSilent).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test("a child that hangs as soon as it is loaded, before a period has passed, is silent after the questions allowed", () => {
  const child = makeChild();
  const { onSilent } = watch(child);
  child.isAwake = false;
  vi.advanceTimersByTime(missedMax * everyMs);
  expect(onSilent).not.toHaveBeenCalled();
  vi.advanceTimersByTime(everyMs);
  expect(onSilent.mock.calls).toEqual([[(missedMax + 1) * everyMs]]);
  vi.advanceTimersByTime(100 * everyMs);
  expect(onSilent).toHaveBeenCalledOnce();
  expect(child.listenerCount("message")).toBe(0);
});

test("a child that has answered nothing is loading, and not watched", () => {
  const child = makeChild();
  child.isAwake = false;
  const { onSilent, end } = watch(child);
  vi.advanceTimersByTime(100 * everyMs);
  expect(onSilent).not.toHaveBeenCalled();
  end();
});

test("one answer in time makes up for those missed before", () => {
  const child = makeChild();
  const { onSilent, end } = watch(child);
  for (let round = 0; round < 5; round += 1) {
    child.isAwake = false;
    vi.advanceTimersByTime((missedMax - 1) * everyMs);
    child.isAwake = true;
    vi.advanceTimersByTime(everyMs);
  }
  expect(onSilent).not.toHaveBeenCalled();
  end();
});
