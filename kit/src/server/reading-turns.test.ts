import { expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeReadingTurns, makeShare, type Share } from "./reading-turns.ts";

const limits = { ...edgeLimits, readingMsPerSecondMax: 100, readingBurstMsMax: 1, unreadMessagesMax: 10 };
/** The cost of one slice in these tests (µs). */
const sliceUs = 1_000;

/** Networks of a /48, each with so many sockets that always have another slice. */
function setUp({ networks, socketsEach }: { networks: number; socketsEach: number }) {
  const clock = makeVirtualClock();
  let alarms = 0;
  const after: typeof clock.after = (ms, run) => {
    alarms += 1;
    return clock.after(ms, run);
  };
  const turns = makeReadingTurns({ ...clock, after });
  const widest = makeShare(limits, 16);
  const read = new Map<Share, number[]>();
  for (let n = 0; n < networks; n += 1) {
    const share = Object.assign(makeShare(limits, 1), { wider: widest });
    const counts = Array.from({ length: socketsEach }, () => 0);
    read.set(share, counts);
    for (const socket of counts.keys()) {
      turns.wait(share, {
        next() {
          counts[socket]! += 1;
          turns.spend(share, sliceUs);
          return true;
        },
      });
    }
  }
  const all = () => [...read.values()];
  return {
    clock,
    turns,
    shares: [...read.keys()],
    read: all,
    total: () =>
      all()
        .flat()
        .reduce((sum, n) => sum + n, 0),
    alarms: () => alarms,
  };
}

test("the networks of a /48 share twice the time of one address, in turns, and so do the sockets of each", async () => {
  const { clock, read, total } = setUp({ networks: 10, socketsEach: 3 });
  await clock.advance(3_000);
  // 100 ms of slices a second, twice, and what was saved before.
  expect(total()).toBeGreaterThanOrEqual(590);
  expect(total()).toBeLessThanOrEqual(602);
  const each = read().flat();
  expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(2);
});

test("however many networks wait, an alarm is set for slices that were read, and not for those that wait", async () => {
  const { clock, total, alarms } = setUp({ networks: 2_000, socketsEach: 1 });
  await clock.advance(1_000);
  expect(total()).toBeGreaterThan(190);
  expect(alarms()).toBeLessThan(2 * total() + 10);
});

test("a network with too much unread is passed over without an alarm, and read on when that has been worked off", async () => {
  const { clock, turns, read, shares } = setUp({ networks: 2, socketsEach: 1 });
  const [crowded] = shares;
  turns.unread(crowded!, 10);
  const before = read().map(([count]) => count!);
  await clock.advance(200);
  const during = read().map(([count]) => count!);
  expect(during[0]! - before[0]!).toBeLessThanOrEqual(1);
  expect(during[1]! - before[1]!).toBeGreaterThan(15);
  turns.unread(crowded!, -1);
  await clock.advance(200);
  expect(read()[0]![0]! - during[0]!).toBeGreaterThan(5);
});
