import fc from "fast-check";
import { expect, test } from "vitest";
import type { Clock } from "../base/clock.ts";
import { currentContext, withContext } from "../base/context.ts";
import { hasCode } from "../base/errors.ts";
import { anonymous } from "../base/peer.ts";
import { type Call, type Dispatcher, dispatch } from "../rpc/call.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type Attenuation, attenuate } from "./attenuate.ts";
import { expose } from "./boundary.ts";
import { type Cabinet, CabinetContract, DrawerContract, makeCabinet } from "./fixtures/cabinet.ts";
import { makeRevoker, type Revoker, revocable } from "./revoker.ts";

type Method = "read" | "write" | "drawer";
const method = fc.constantFrom<Method>("read", "write", "drawer");
const index = fc.noBias(fc.nat({ max: 999 }));
/** Absent more often than not: with every limit at once nothing would run. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.integer({ min: 0, max: 3 }).chain((n) => (n === 0 ? arbitrary : fc.constant(undefined)));

/** One thing that happens; an index counts round among what there is by then. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant("attenuate" as const),
    of: index,
    only: seldom(fc.uniqueArray(method, { minLength: 1 })),
    untilInMs: seldom(fc.noBias(fc.integer({ min: 0, max: 600 }))),
    times: seldom(fc.nat({ max: 6 })),
    rate: seldom(fc.record({ calls: fc.integer({ min: 1, max: 4 }), perMs: fc.integer({ min: 1, max: 100 }) })),
    revoker: seldom(index),
  }),
  fc.record({ kind: fc.constant("revoker" as const), of: index }),
  fc.record({ kind: fc.constant("revoke" as const), which: index }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.nat({ max: 60 }) }),
  fc.record({ kind: fc.constant("call" as const), on: index, method, isLocal: fc.boolean() }),
  fc.record({ kind: fc.constant("call" as const), on: index, method, isLocal: fc.boolean() }),
  fc.record({ kind: fc.constant("look" as const), on: index, isLocal: fc.boolean() }),
);

/** What an attenuation takes away, as this test understands it. */
interface Link {
  readonly only: readonly Method[] | undefined;
  readonly untilMs: number | undefined;
  readonly times: number | undefined;
  readonly rate: { calls: number; perMs: number } | undefined;
  readonly revoker: number | undefined;
  /** When calls began. */
  readonly begun: number[];
}

interface Callable {
  /** From the root on. */
  readonly path: readonly Link[];
  readonly local: object;
  readonly exposed: object;
}

test("a method runs if, and only if, every condition on its path holds, however attenuations are piled up", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      let nowMs = 1_000;
      const clock: Clock = { ...makeVirtualClock(), now: () => nowMs, monotonicMs: () => nowMs };
      const revokers: { revoker: Revoker; parent: number | undefined; isRevoked: boolean }[] = [
        { revoker: makeRevoker(), parent: undefined, isRevoked: false },
      ];
      const cabinet = revocable(makeCabinet(clock), revokers[0]!.revoker);
      const env = { peer: anonymous, clock };
      const root: Link = { ...free(), revoker: 0 };
      // A plain object asks nothing when it is called directly, so the root is reached by its boundary only.
      const exposedRoot = expose(CabinetContract, cabinet, env);
      const cabinets: Callable[] = [{ path: [root], local: exposedRoot, exposed: exposedRoot }];
      const drawers: Callable[] = [];
      const implementations: object[] = [cabinet];

      for (const one of steps) {
        if (one.kind === "attenuate") {
          const at = one.of % cabinets.length;
          const revoker = one.revoker === undefined ? undefined : one.revoker % revokers.length;
          const untilMs = one.untilInMs === undefined ? undefined : nowMs + one.untilInMs;
          const link: Link = { ...one, untilMs, revoker, begun: [] };
          const attenuation: Attenuation<Cabinet> = {
            clock,
            ...(link.only && { only: link.only }),
            ...(untilMs !== undefined && { until: untilMs }),
            ...(link.times !== undefined && { times: link.times }),
            ...(link.rate && { rate: link.rate }),
            ...(revoker !== undefined && { revoker: revokers[revoker]!.revoker }),
          };
          const made = attenuate(CabinetContract, implementations[at] as typeof cabinet, attenuation);
          implementations.push(made);
          cabinets.push({
            path: [...cabinets[at]!.path, link],
            local: made,
            exposed: expose(CabinetContract, made, env),
          });
        } else if (one.kind === "revoker") {
          const parent = one.of % revokers.length;
          revokers.push({ revoker: makeRevoker(revokers[parent]!.revoker), parent, isRevoked: false });
        } else if (one.kind === "revoke") {
          const which = one.which % revokers.length;
          // The root's ends everything: seldom, so that something is left to look at.
          if (which === 0 && one.which > 100) continue;
          revokers[which]!.isRevoked = true;
          revokers[which]!.revoker.revoke();
        } else if (one.kind === "wait") nowMs += one.ms;
        else if (one.kind === "call") {
          const { path, local, exposed } = cabinets[one.on % cabinets.length]!;
          const args = { read: 1, write: "x", drawer: "a" }[one.method];
          const result = outcomeOf(one.isLocal ? local : exposed, one.method, args);
          expect(result.what).toBe(expected(path, one.method));
          if (result.what !== "ran") continue;
          for (const link of path) link.begun.push(nowMs);
          if (one.method !== "drawer") continue;
          // Of a call in this process the result is a caretaker, or the bare drawer, which nothing guards directly.
          const drawer = result.value as object;
          const isBare = path.every(({ untilMs, revoker }, at) => at === 0 || !(untilMs || revoker !== undefined));
          const through = one.isLocal && exposed !== local ? expose(DrawerContract, drawer as never, env) : drawer;
          const looked = path.slice(1).map(({ untilMs, revoker }): Link => ({ ...free(), untilMs, revoker }));
          drawers.push({ path: looked, local: one.isLocal && !isBare ? drawer : through, exposed: through });
        } else if (drawers.length > 0) {
          const { path, local, exposed } = drawers[one.on % drawers.length]!;
          expect(outcomeOf(one.isLocal ? local : exposed, "look").what).toBe(expected(path));
        }
      }

      function expected(path: readonly Link[], called?: Method): string {
        const isOver = path.some(
          ({ only, untilMs, times, revoker, begun }) =>
            (only && called && !only.includes(called)) ||
            (untilMs !== undefined && nowMs >= untilMs) ||
            (times !== undefined && begun.length >= times) ||
            isRevoked(revoker),
        );
        if (isOver) return "permission_denied";
        return path.some((link) => link.rate && tokens(link) < link.rate.perMs) ? "resource_exhausted" : "ran";
      }

      function isRevoked(which: number | undefined): boolean {
        if (which === undefined) return false;
        const { isRevoked: itself, parent } = revokers[which]!;
        return itself || isRevoked(parent);
      }

      /** By replaying all calls, in units of a call per `perMs`. */
      function tokens({ rate, begun }: Link): number {
        const { calls, perMs } = rate!;
        let level = calls * perMs;
        let atMs = 0;
        for (const nextMs of [...begun, nowMs]) {
          level = Math.min(calls * perMs, level + (nextMs - atMs) * calls);
          atMs = nextMs;
          if (begun.length > 0) level -= perMs;
        }
        return begun.length > 0 ? level + perMs : level;
      }

      function outcomeOf(target: object, name: string, ...args: unknown[]): { what: string; value?: unknown } {
        const before = cabinet.ran.length;
        try {
          const value =
            dispatch in target ? callBoundary(target as Dispatcher, name, args, clock) : callBare(target, name, args);
          expect(cabinet.ran.length).toBe(before + 1);
          return { what: "ran", value };
        } catch (error) {
          expect(cabinet.ran.length).toBe(before);
          if (hasCode(error, "permission_denied")) return { what: "permission_denied" };
          expect(error).toMatchObject({ code: "resource_exhausted", reason: "rate_limited" });
          const { retryAfterMs } = error as { retryAfterMs?: number };
          expect(retryAfterMs).toBeGreaterThan(0);
          return { what: "resource_exhausted" };
        }
      }
    }),
    { numRuns: 400 },
  );
});

function callBare(target: object, name: string, args: readonly unknown[]): unknown {
  return (target as Record<string, (...given: readonly unknown[]) => unknown>)[name]!(...args);
}

/** A call of a method that answers at once. */
function callBoundary(target: Dispatcher, name: string, args: readonly unknown[], clock: Clock): unknown {
  const context = withContext({}, () => currentContext()!, clock);
  let outcome: { value?: unknown; error?: unknown } = {};
  const answer = (value: unknown) => {
    outcome = { value };
  };
  const call: Call = {
    context,
    env: undefined,
    isPlain: true,
    streams: [],
    isSettled: false,
    returned: answer,
    returnedData: answer,
    relay() {},
    fail(error) {
      outcome = { error };
    },
    onSettled() {},
  };
  target[dispatch](name, args, call);
  if (outcome.error !== undefined) throw outcome.error;
  return outcome.value;
}

test("a rate lets no more through than it says, and the wait it names is enough and not too long", () => {
  const waits = fc.array(fc.nat({ max: 50 }), { maxLength: 100 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 200 }), waits, (calls, perMs, waitsMs) => {
      let nowMs = 0;
      const clock: Clock = { ...makeVirtualClock(), now: () => nowMs, monotonicMs: () => nowMs };
      const left = attenuate(CabinetContract, makeCabinet(clock), { rate: { calls, perMs }, clock });
      const begun: number[] = [];
      const waitOf = (): number => {
        try {
          void left.read(1);
          begun.push(nowMs);
          return 0;
        } catch (error) {
          return (error as { retryAfterMs: number }).retryAfterMs;
        }
      };
      for (const ms of waitsMs) {
        nowMs += ms;
        const waitMs = waitOf();
        if (waitMs === 0) continue;
        nowMs += waitMs - 1;
        expect(waitOf()).toBe(1);
        nowMs += 1;
        expect(waitOf()).toBe(0);
      }
      for (const [first, startMs] of begun.entries()) {
        for (const [more, endMs] of begun.slice(first).entries()) {
          expect(more + 1).toBeLessThanOrEqual(calls + ((endMs - startMs) * calls) / perMs);
        }
      }
    }),
    { numRuns: 200 },
  );
});

function free(): Link {
  return { only: undefined, untilMs: undefined, times: undefined, rate: undefined, revoker: undefined, begun: [] };
}
