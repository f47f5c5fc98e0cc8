import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pause, systemClock } from "../base/clock.ts";
import { type RpcStub, RpcTarget } from "../rpc/stub.ts";
import { servicePeer } from "../testing/trio.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { BadgeContract, type Badges, hear, makeBadges } from "./fixtures/badges.ts";
import { type HomeMain, makeHome } from "./home.ts";

describe("a change waits for who cannot be told", () => {
  /** How long a change takes. */
  async function changeMs(badges: Badges): Promise<number> {
    const fromMs = badges.clock.monotonicMs();
    await badges.clock.run(badges.change());
    return badges.clock.monotonicMs() - fromMs;
  }

  test("until its last lease is over, and not for one that has none", async () => {
    await using badges = await makeBadges();
    await hear(badges, 3);
    badges.recipientToHome.cut();
    // The lease began 40 ms ago at the recipient, and 30 ms ago at the home.
    expect(await changeMs(badges)).toBe(970);
    expect(await changeMs(badges)).toBe(0);
  });

  test("a recipient that does not answer holds it up until then, and no longer", async () => {
    await using badges = await makeBadges({ delayMs: 2_000 });
    await hear(badges, 2);
    // No lease is older than 2,000 ms when its answer comes, so that nothing was ever kept; the home cannot know that.
    expect(badges.asked()).toBe(2);
    const asking = badges.level();
    await badges.clock.advance(2_000);
    expect(await changeMs(badges)).toBe(1_000);
    await badges.clock.run(asking);
  });

  test("of an earlier run: the first change of a home that just began", async () => {
    const clock = makeVirtualClock();
    const home = makeHome({ name: "home", clock, leases: { lifetimeMs: 1_000 } });
    // Its store may be somebody else's until it serves its first session.
    await clock.advance(5_000);
    home.main(BadgeContract, { level: () => 0, now: () => 0 }, servicePeer("gifter"));
    await clock.advance(400);
    await clock.run(home.recall());
    expect(clock.monotonicMs()).toBe(6_000);
    await clock.run(home.recall());
    expect(clock.monotonicMs()).toBe(6_000);
  });

  test("at another instance: every change, for as long as a lease can last", async () => {
    await using badges = await makeBadges({ leases: { lifetimeMs: 1_000, isShared: true } });
    expect(await changeMs(badges)).toBe(1_000);
    expect(await changeMs(badges)).toBe(1_000);
  });

  test("many changes of one turn ask a recipient once", async () => {
    await using badges = await makeBadges();
    await hear(badges, 3);
    const before = badges.recipientToHome.messages.length;
    await badges.clock.run(Promise.all([badges.change(), badges.change(), badges.change()]));
    const asked = badges.recipientToHome.messages.slice(before).filter((line) => line.includes("recall"));
    expect(asked).toHaveLength(1);
  });
});

/** Answers each recall with a capability. */
class Recalled extends RpcTarget {
  recall() {
    return new RpcTarget();
  }
}

test("what a recipient answers a recall with costs the home nothing", async () => {
  await using badges = await makeBadges({ takesLeases: false });
  const { clock, recipientToHome } = badges;
  using taking = (recipientToHome.main as unknown as RpcStub<HomeMain>).takeLeases(new Recalled() as never);
  await clock.run(taking as unknown as Promise<unknown>);
  const ask = () =>
    badges.withLoan(({ capability }) =>
      (capability as unknown as Record<string, (...args: unknown[]) => PromiseLike<unknown>>).askLeased!("level", [
        "lobby",
      ]),
    );
  await clock.run(ask());
  const before = recipientToHome.far.stats().imports;
  for (let count = 0; count < 10; count += 1) {
    await clock.run(ask());
    await clock.run(badges.change());
  }
  await clock.advance(100);
  expect(recipientToHome.far.stats().imports).toBe(before);
});

test("on the clock of a machine, whose timers may be early, a change is not answered a part of a millisecond too soon", async () => {
  for (let count = 0; count < 10; count += 1) {
    const home = makeHome({ name: "home", leases: { lifetimeMs: 5, isShared: true } });
    const fromMs = performance.now();
    // Timers of the kit keep no process alive.
    const [waitedMs] = await Promise.all([
      home.recall().then(() => performance.now() - fromMs),
      pause(systemClock, 20),
    ]);
    expect(waitedMs).toBeGreaterThanOrEqual(5);
  }
});

const moment = fc.record({
  afterMs: fc.constantFrom(0, 0, 1, 7, 40, 300, 990),
  what: fc.constantFrom("ask", "ask", "ask", "change"),
});

test("whoever asks after a change was answered hears of it, whatever overlaps, however slow the links are", async () => {
  const slowness = fc.record({
    delayMs: fc.constantFrom(0, 1, 15, 400, 700, 1_500),
    looksMs: fc.constantFrom(0, 0, 1, 30, 800),
  });
  await fc.assert(
    fc.asyncProperty(slowness, fc.boolean(), fc.array(moment, { maxLength: 30 }), async (slow, isShared, moments) => {
      await using badges = await makeBadges({ ...slow, leases: { lifetimeMs: 1_000, isShared } });
      const { clock } = badges;
      let answered = 0;
      let changes = 0;
      const work: Promise<unknown>[] = [];
      for (const { afterMs, what } of moments) {
        await clock.advance(afterMs);
        if (what === "change") {
          changes += 1;
          const level = changes;
          work.push(
            badges.change().then(() => {
              answered = Math.max(answered, level);
            }),
          );
        } else {
          const atLeast = answered;
          work.push(badges.level().then((level) => expect(level).toBeGreaterThanOrEqual(atLeast)));
        }
      }
      await clock.run(Promise.all(work));
    }),
    { numRuns: 150 },
  );
});
