import { describe, expect, test } from "vitest";
import { anonymous } from "../base/peer.ts";
import { type RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { BadgeContract, hear, makeBadges } from "./fixtures/badges.ts";
import { type HomeMain, makeHome } from "./home.ts";

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
  const taking = (link.main as unknown as RpcStub<HomeMain>).takeLeases(new RpcTarget() as never);
  await expect(clock.run(taking as unknown as Promise<unknown>)).rejects.toMatchObject({ code: "permission_denied" });
});
