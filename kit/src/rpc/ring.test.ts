import fc from "fast-check";
import { expect, test } from "vitest";
import { Ring } from "./ring.ts";

interface Entry {
  readonly id: number;
}
type Step = ["add", number] | ["delete", number];

/** Ids are mostly close to each other, as they are given out; some are far off, as stragglers are. */
const id = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 300 }) },
  fc.integer({ min: -300, max: -1 }),
  fc.integer({ min: 0, max: 20 }).map((index) => index * 65_536 + 7),
);
const steps = fc.array(fc.tuple(fc.constantFrom<"add" | "delete">("add", "add", "delete"), id), { maxLength: 400 });

function apply(step: Step, ring: Ring<Entry>, map: Map<number, Entry>): void {
  const [what, id] = step;
  if (what === "delete") {
    expect(ring.delete(id)).toBe(map.delete(id));
  } else if (!map.has(id)) {
    const entry = { id };
    ring.add(entry);
    map.set(id, entry);
  }
}

function expectSame(ring: Ring<Entry>, map: Map<number, Entry>): void {
  expect(ring.size).toBe(map.size);
  for (const [id, entry] of map) expect(ring.get(id)).toBe(entry);
  expect(new Set(ring.all())).toEqual(new Set(map.values()));
  expect(ring.all()).toHaveLength(map.size);
}

test("holds what a Map would, whatever is added and taken back", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const [ring, map] = [new Ring<Entry>(), new Map<number, Entry>()];
      for (const step of all) apply(step, ring, map);
      expectSame(ring, map);
      for (const [, id] of all) expect(ring.get(id + 1)).toBe(map.get(id + 1));
    }),
    { numRuns: 500 },
  );
});

test("finds a straggler among a hundred thousand that came after it and are gone", () => {
  const ring = new Ring<Entry>();
  const straggler = { id: 1 };
  ring.add(straggler);
  for (let id = 2; id <= 100_000; id += 1) {
    ring.add({ id });
    if (id > 10) ring.delete(id - 5);
  }
  expect(ring.get(1)).toBe(straggler);
  expect(ring.delete(1)).toBe(true);
  expect(ring.delete(1)).toBe(false);
  expect(ring.get(1)).toBeUndefined();
});

test("holds a hundred thousand at once", () => {
  const [ring, map] = [new Ring<Entry>(), new Map<number, Entry>()];
  for (let id = 1; id <= 100_000; id += 1) apply(["add", id], ring, map);
  expect(ring.size).toBe(100_000);
  for (let id = 1; id <= 100_000; id += 997) expect(ring.get(id)).toBe(map.get(id));
  for (let id = 1; id <= 100_000; id += 2) apply(["delete", id], ring, map);
  expect(ring.all()).toHaveLength(50_000);
});

test("is empty when it was cleared", () => {
  const ring = new Ring<Entry>();
  for (let id = 1; id <= 200; id += 1) ring.add({ id });
  ring.clear();
  expect([ring.size, ring.all(), ring.get(5), ring.delete(5)]).toEqual([0, [], undefined, false]);
});
