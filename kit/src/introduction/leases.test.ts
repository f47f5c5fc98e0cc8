import { describe, expect, test } from "vitest";
import { anonymous } from "../base/peer.ts";
import { expose } from "../capability/boundary.ts";
import type { Revocation } from "../capability/conditions.ts";
import type { Implementation } from "../capability/contract.ts";
import { makeRevoker } from "../capability/revoker.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { servicePeer } from "../testing/trio.ts";
import type { VirtualClock } from "../testing/virtual-clock.ts";
import { type Badge, BadgeContract, hear, makeBadges } from "./fixtures/badges.ts";
import { makeLoans } from "./loans.ts";

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
