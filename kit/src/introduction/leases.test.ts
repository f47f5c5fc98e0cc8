import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pause, systemClock } from "../base/clock.ts";
import { anonymous } from "../base/peer.ts";
import { expose } from "../capability/boundary.ts";
import type { Implementation } from "../capability/contract.ts";
import type { Revocation } from "../capability/conditions.ts";
import { makeRevoker } from "../capability/revoker.ts";
import { type RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { servicePeer } from "../testing/trio.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { type Badge, BadgeContract, makeBadges } from "./fixtures/badges.ts";
import { type HomeMain, makeHome } from "./home.ts";
import { makeLoans } from "./loans.ts";

/** The levels that the recipient hears one after the other, each 10 ms after the one before. */
async function hear(badges: Awaited<ReturnType<typeof makeBadges>>, times: number): Promise<number[]> {
  const heard: number[] = [];
  for (let time = 0; time < times; time += 1) {
    heard.push(await badges.clock.run(badges.level()));
    await badges.clock.advance(10);
  }
  return heard;
}

describe("a standing answer", () => {
  test("is asked for once while its lease lasts, each question by itself", async () => {
    await using badges = await makeBadges();
    // Before the home has said that it leases, the answer is one that nobody vouches for.
    expect(await hear(badges, 5)).toEqual([0, 0, 0, 0, 0]);
    expect(badges.asked()).toBe(2);
    await badges.clock.run(badges.level("cellar"));
    await badges.clock.run(badges.level("cellar"));
    expect(badges.asked()).toBe(3);
  });

  test("is asked for again when its lease is over, counted from when it was asked for", async () => {
    await using badges = await makeBadges();
    await hear(badges, 2);
    // The lease was asked for 30 ms ago: 20 on the way, and 10 since.
    await badges.clock.advance(969);
    await badges.clock.run(badges.level());
    expect(badges.asked()).toBe(2);
    await badges.clock.advance(1);
    await badges.clock.run(badges.level());
    expect(badges.asked()).toBe(3);
  });

  test("no longer counts once its change has been answered, which takes one message there and back", async () => {
    await using badges = await makeBadges();
    expect(await hear(badges, 3)).toEqual([0, 0, 0]);
    const fromMs = badges.clock.monotonicMs();
    await badges.clock.run(badges.change());
    expect(badges.clock.monotonicMs() - fromMs).toBe(20);
    expect(await hear(badges, 3)).toEqual([1, 1, 1]);
    expect(badges.asked()).toBe(3);
  });

  test("that was on its way when it was taken back is not kept", async () => {
    await using badges = await makeBadges();
    await hear(badges, 1);
    const onItsWay = badges.level();
    // Arrives at the home at 10, and leaves it; the change follows right behind.
    await badges.clock.advance(10);
    const changed = badges.change();
    expect(await badges.clock.run(onItsWay)).toBe(0);
    await badges.clock.run(changed);
    expect(await hear(badges, 1)).toEqual([1]);
  });

  test.each([
    ["the home leases nothing", { leases: undefined }],
    ["the recipient takes no leases", { takesLeases: false }],
    ["calls are counted", { attenuation: { times: 100 } }],
    ["calls are limited in their rate", { attenuation: { rate: { calls: 100, perMs: 1_000 } } }],
  ])("is asked for each time where %s", async (_, options) => {
    await using badges = await makeBadges(options);
    await hear(badges, 5);
    expect(badges.asked()).toBe(5);
  });

  test("of an attenuated capability is leased, as long as that only ends", async () => {
    await using badges = await makeBadges({ attenuation: { only: ["level"], until: 1_700_000_060_000 } });
    await hear(badges, 5);
    expect(badges.asked()).toBe(2);
  });
});

test("a recipient that keeps no loan holds no leases, and takes them anew with the next", async () => {
  await using badges = await makeBadges({ idleMs: 10_000 });
  await hear(badges, 3);
  expect(badges.recipientToHome.near.stats()).toEqual({ imports: 3, exports: 2 });
  await badges.clock.advance(20_000);
  expect(badges.loans.size).toBe(0);
  expect(badges.recipientToHome.near.stats()).toEqual({ imports: 1, exports: 1 });
  const before = badges.asked();
  await hear(badges, 5);
  expect(badges.asked()).toBe(before + 2);
});

test("a home that looks for a while is told of the change meanwhile", async () => {
  await using badges = await makeBadges({ looksMs: 50 });
  await badges.clock.run(badges.level());
  await badges.clock.advance(1_000);
  const asking = badges.level();
  await badges.clock.advance(20);
  await badges.clock.run(badges.change());
  await badges.clock.run(asking);
  expect(await badges.clock.run(badges.level())).toBe(1);
});

test("of two who keep loans of one session, each hears of a change", async () => {
  await using badges = await makeBadges();
  const { clock, recipientToHome, received, loans } = badges;
  using second = makeLoans({ from: recipientToHome, clock, leases: true });
  const levels = async () => {
    const asking = [loans, second].map((of) => of.with(received, ({ standing }) => standing("level", "lobby")));
    return await clock.run(Promise.all(asking));
  };
  for (const _ of [1, 2, 3]) expect(await levels()).toEqual([0, 0]);
  expect(badges.asked()).toBe(4);
  await clock.run(badges.change());
  expect(await levels()).toEqual([1, 1]);
  // The end of one ends nothing of the other's.
  second[Symbol.dispose]();
  await levels();
  await clock.run(badges.change());
  expect(await clock.run(badges.level())).toBe(2);
});

test("a home does not vouch for what is hosted elsewhere", async () => {
  let level = 0;
  const elsewhere = expose(BadgeContract, { level: () => level, now: () => level }, { peer: anonymous });
  const to = { name: "elsewhere", instance: "e".repeat(16), main: elsewhere };
  const makeBadge = (clock: VirtualClock) =>
    makeTestLink({ clock, from: servicePeer("home"), to }).main as unknown as Implementation<Badge>;
  await using badges = await makeBadges({ makeBadge });
  expect(await hear(badges, 3)).toEqual([0, 0, 0]);
  level = 1;
  expect(await hear(badges, 1)).toEqual([1]);
});

describe("a lease ends", () => {
  // The clock of the wall started at 1_700_000_000_000, and 1,020 ms have passed when the badge is introduced.
  test.each([
    ["with its capability", { expiresAtMs: 1_700_000_001_500 }],
    ["with its introduction", { giftMs: 500 }],
  ])("%s", async (_, options) => {
    await using badges = await makeBadges(options);
    await hear(badges, 3);
    await badges.clock.advance(500);
    await expect(badges.clock.run(badges.level())).rejects.toMatchObject({ reason: "introduction_refused" });
  });

  test("when its answer ends by itself, as its implementation says", async () => {
    await using badges = await makeBadges({ standsUntilMs: 1_700_000_001_500 });
    await hear(badges, 3);
    expect(badges.asked()).toBe(2);
    await badges.clock.advance(1_500 - badges.clock.monotonicMs());
    await hear(badges, 2);
    expect(badges.asked()).toBe(4);
  });

  test("when the introduction is ended, as soon as the recipient can hear of it", async () => {
    await using badges = await makeBadges();
    await hear(badges, 3);
    badges.gift[Symbol.dispose]();
    await badges.clock.advance(20);
    await expect(badges.clock.run(badges.level())).rejects.toMatchObject({ reason: "introduction_refused" });
  });

  test("when the capability is revoked, as soon as the recipient can hear of it", async () => {
    const revoker = makeRevoker();
    await using badges = await makeBadges({ attenuation: { revoker } });
    await hear(badges, 3);
    revoker.revoke();
    await badges.clock.advance(20);
    await expect(badges.clock.run(badges.level())).rejects.toMatchObject({ reason: "revoked" });
  });

  test("by a revocation for as long as something is promised, and nobody listens for it after that", async () => {
    const revoker = makeRevoker();
    let listeners = 0;
    const counted: Revocation = {
      get isRevoked() {
        return revoker.isRevoked;
      },
      onRevoked(listener) {
        listeners += 1;
        const cancel = revoker.onRevoked(listener);
        return () => {
          listeners -= 1;
          cancel();
        };
      },
    };
    await using badges = await makeBadges({ attenuation: { revoker: counted } });
    await hear(badges, 3);
    await badges.clock.advance(800);
    await badges.clock.run(badges.level("cellar"));
    await badges.clock.advance(500);
    expect(listeners).toBe(1);
    revoker.revoke();
    await badges.clock.advance(20);
    await expect(badges.clock.run(badges.level("cellar"))).rejects.toMatchObject({ reason: "revoked" });
    await badges.clock.advance(1_000);
    expect(listeners).toBe(0);
  });

  test("with its session: nobody could take it back any more", async () => {
    await using badges = await makeBadges();
    await hear(badges, 3);
    badges.recipientToHome.cut();
    await expect(badges.clock.run(badges.level())).rejects.toMatchObject({ code: "unavailable" });
  });

  test("with its session in the middle of a use too", async () => {
    await using badges = await makeBadges();
    await hear(badges, 3);
    const asking = badges.withLoan(async ({ standing }) => {
      badges.recipientToHome.cut();
      return await standing("level", "lobby");
    });
    await expect(badges.clock.run(asking)).rejects.toMatchObject({ code: "unavailable" });
  });

  test("in time where the wall clock stands still", async () => {
    await using badges = await makeBadges();
    await hear(badges, 1);
    const { now } = badges.clock;
    const atMs = now();
    Object.assign(badges.clock, { now: () => atMs });
    await hear(badges, 2);
    await badges.clock.advance(1_000);
    await hear(badges, 1);
    Object.assign(badges.clock, { now });
    expect(badges.asked()).toBe(3);
  });

  test.each([
    ["forward", 1_000],
    ["back", -1_000],
  ])("when the wall clock jumps %s, as after a machine has slept", async (_, jumpMs) => {
    await using badges = await makeBadges();
    await hear(badges, 3);
    const { now } = badges.clock;
    Object.assign(badges.clock, { now: () => now() + jumpMs });
    await hear(badges, 1);
    Object.assign(badges.clock, { now });
    expect(badges.asked()).toBe(3);
  });
});

describe("a change waits for who cannot be told", () => {
  /** How long a change takes. */
  async function changeMs(badges: Awaited<ReturnType<typeof makeBadges>>): Promise<number> {
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

test.each([0, -1, Number.NaN, 2_001, Number.POSITIVE_INFINITY])("no lease lasts %s ms", (lifetimeMs) => {
  expect(() => makeHome({ name: "home", leases: { lifetimeMs } })).toThrow(TypeError);
});

describe("what is no standing question of a loan gets no lease", () => {
  type Raw = Record<string, (...args: unknown[]) => PromiseLike<unknown>> & Disposable;
  const unknownMember = { code: "unimplemented" };

  test.each([
    ["a method that there is none of", ["nothing", []]],
    ["a method of the kit's", ["askLeased", ["level", ["lobby"]]]],
    ["no arguments", ["level"]],
    ["no name", [7, []]],
  ])("%s", async (_, args) => {
    await using badges = await makeBadges();
    const asking = badges.withLoan(({ capability }) => (capability as unknown as Raw).askLeased!(...args));
    await expect(badges.clock.run(asking)).rejects.toMatchObject(unknownMember);
  });

  test("another method is asked, and nobody vouches for its answer", async () => {
    await using badges = await makeBadges();
    await hear(badges, 2);
    const now = () => badges.clock.run(badges.withLoan(({ standing }) => standing("now")));
    expect([await now(), await now()]).toEqual([0, 0]);
    const raw = badges.withLoan(({ capability }) => (capability as unknown as Raw).askLeased!("now", []));
    expect(await badges.clock.run(raw)).toMatchObject({ answer: 0, forMs: 0 });
  });

  test("arguments of another shape are refused as those of the method itself", async () => {
    await using badges = await makeBadges();
    const asking = badges.withLoan(({ capability }) => (capability as unknown as Raw).askLeased!("level", [7]));
    await expect(badges.clock.run(asking)).rejects.toMatchObject({ code: "invalid_argument" });
    expect(badges.asked()).toBe(0);
  });

  test("a capability that is no loan", async () => {
    await using badges = await makeBadges();
    const office = badges.gifterToHome.main as unknown as { badge(): Raw };
    using badge = office.badge();
    await expect(badges.clock.run(badge.askLeased!("level", ["lobby"]))).rejects.toMatchObject(unknownMember);
  });
});

test("nobody without a key takes leases", async () => {
  const clock = makeVirtualClock();
  const home = makeHome({ name: "home", clock, leases: { lifetimeMs: 1_000 } });
  const main = home.main(BadgeContract, { level: () => 0, now: () => 0 }, anonymous);
  const link = makeTestLink({ clock, from: anonymous, to: { name: "home", instance: home.instance, main } });
  const taking = (link.main as unknown as RpcStub<HomeMain>).takeLeases(new Recalled() as never);
  await expect(clock.run(taking as unknown as Promise<unknown>)).rejects.toMatchObject({ code: "permission_denied" });
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
