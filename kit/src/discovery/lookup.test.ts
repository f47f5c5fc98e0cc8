import { expect, test } from "vitest";
import type { FlotillaError } from "../base/errors.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { instancesMax } from "./directory.ts";
import { type Found, makeLookup } from "./lookup.ts";

const a = "http://a:1";
const b = "http://b:1";

/** A source that answers what the test says, on a virtual clock: a look every second, unless the test says so. */
function makeWatched({ intervalMs = 1_000 } = {}) {
  const clock = makeVirtualClock();
  const heard: (readonly string[])[] = [];
  const problems: string[] = [];
  let answer: () => Promise<Found> = async () => ({ urls: [a] });
  let looks = 0;
  let changed = () => {};
  const source = {
    title: "the list",
    intervalMs,
    look() {
      looks += 1;
      return answer();
    },
    listen(tell: () => void) {
      changed = tell;
      return () => {
        changed = () => {};
      };
    },
  };
  const onProblem = ({ code, reason, message }: FlotillaError) => problems.push(`${reason ?? code}: ${message}`);
  const stop = makeLookup(source, { clock, random: () => 0.5, onProblem }).watch((urls) => heard.push(urls));
  return {
    clock,
    heard,
    problems,
    stop,
    looks: () => looks,
    change: () => changed(),
    /** From now on, which is heard by the next look. */
    says(next: () => Promise<Found>, withinMs = 1_000) {
      answer = next;
      return clock.advance(withinMs);
    },
  };
}

test("what is found is told once, and again when it is another, in whatever order it comes", async () => {
  const { says, heard, clock } = makeWatched();
  await clock.settle();
  await says(async () => ({ urls: [b, a, b] }));
  await says(async () => ({ urls: [a, b] }));
  await says(async () => ({ urls: [b] }));
  expect(heard).toEqual([[a], [a, b], [b]]);
});

test.each([
  ["fails", () => Promise.reject(new Error("secret")), "unavailable: the list cannot be looked into"],
  ["hangs", () => new Promise<Found>(() => {}), "unavailable: the list does not answer"],
  ["names nobody", async () => ({ urls: [] }), "directory_malformed: the list: it names no instance"],
  [
    "names what is no address",
    async () => ({ urls: [b, "javascript:1"] }),
    'directory_malformed: the list: "javascript:1" is no address of a service',
  ],
  [
    "names too many",
    async () => ({ urls: Array.from({ length: instancesMax + 1 }, (_, n) => `http://a:${n + 1}`) }),
    `directory_malformed: the list: it names more than ${instancesMax} instances`,
  ],
])("a directory that %s takes nothing away: the last list holds, and why is said once", async (_, fault, said) => {
  const { says, heard, problems, clock } = makeWatched();
  await clock.settle();
  await says(fault);
  for (let n = 0; n < 20; n += 1) await clock.advance(1_000);
  expect(heard).toEqual([[a]]);
  expect(problems).toEqual([said]);
  await says(async () => ({ urls: [b] }));
  // The one that hangs is given up after its time.
  await clock.advance(6_000);
  expect(heard).toEqual([[a], [b]]);
  await says(fault);
  await clock.advance(6_000);
  expect(problems).toEqual([said, said]);
});

test("an answer that is good for less is asked for sooner, and not all the time", async () => {
  const { says, looks, clock } = makeWatched();
  await says(async () => ({ urls: [a], ttlMs: 200 }));
  const before = looks();
  await clock.advance(1_000);
  expect(looks() - before).toBe(5);
  await says(async () => ({ urls: [a], ttlMs: 0 }));
  const then = looks();
  await clock.advance(1_000);
  expect(looks() - then).toBe(10);
});

test("who is told of a change looks at once; of many soon after, or during a look, once more", async () => {
  const { looks, change, clock, says } = makeWatched();
  await clock.settle();
  await clock.advance(100);
  expect(looks()).toBe(1);
  change();
  expect(looks()).toBe(2);
  await clock.settle();
  for (let n = 0; n < 5; n += 1) change();
  await clock.advance(99);
  expect(looks()).toBe(2);
  await clock.advance(1);
  expect(looks()).toBe(3);
  const slow = Promise.withResolvers<Found>();
  await says(() => slow.promise);
  expect(looks()).toBe(4);
  for (let n = 0; n < 5; n += 1) change();
  slow.resolve({ urls: [a] });
  await clock.advance(100);
  expect(looks()).toBe(5);
  await clock.advance(999);
  expect(looks()).toBe(5);
});

test("after a look that failed the next one comes sooner, and later after each that fails too", async () => {
  const { looks, clock, says } = makeWatched({ intervalMs: 30_000 });
  await clock.settle();
  await says(() => Promise.reject(new Error("away")), 30_000);
  const times: number[] = [];
  for (let ms = 0; ms < 95_000; ms += 1_000) {
    const before = looks();
    await clock.advance(1_000);
    if (looks() > before) times.push(ms + 1_000);
  }
  expect(times).toEqual([1_000, 3_000, 7_000, 15_000, 31_000, 61_000, 91_000]);
});

test("nothing is looked at or told after the end, also of a look that was under way", async () => {
  const { looks, stop, clock, says, heard, change, problems } = makeWatched();
  const slow = Promise.withResolvers<Found>();
  await says(() => slow.promise);
  stop();
  stop();
  slow.resolve({ urls: [b] });
  const before = looks();
  change();
  await clock.advance(60_000);
  expect(looks()).toBe(before);
  expect(heard).toEqual([[a]]);
  expect(problems).toEqual([]);
});
