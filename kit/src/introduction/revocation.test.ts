import { Type } from "typebox";
import { describe, expect, test } from "vitest";
import { type Attenuation, attenuate } from "../capability/attenuate.ts";
import { expose } from "../capability/boundary.ts";
import { arg, contract, type Implementation } from "../capability/contract.ts";
import { makeRevoker, type Revoker, revocable } from "../capability/revoker.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { tablesAtRest } from "../testing/leaks.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { makeTrio, servicePeer, type Trio } from "../testing/trio.ts";
import { type Introducible, introducible } from "./home.ts";
import { accept, introduce } from "./introduce.ts";
import { type Introduction, introductionTo } from "./introduction.ts";

// The gifter introduces to the recipient what the home hosts; the home ends it.

interface Badge extends RpcTarget {
  getOwner(): string;
  mayEnter(room: string): boolean;
}
interface Office extends RpcTarget {
  badgeFor(owner: string): Badge & Introducible;
}
/** Keeps what it was introduced to, so that later calls go to the home alone. */
interface Door extends RpcTarget {
  meet(badge: Introduction<Badge>): string;
  open(room: string): boolean;
  owner(): string;
  forget(): string;
}
const Word = Type.String({ maxLength: 40 });
const BadgeContract = contract<Badge>("Badge", {
  getOwner: { params: [] },
  mayEnter: { params: [arg("room", Word)] },
});
const OfficeContract = contract<Office>("Office", {
  badgeFor: { params: [arg("owner", Word)], returns: introducible(BadgeContract) },
});
const DoorContract = contract<Door>("Door", {
  meet: { params: [introductionTo<Badge>("badge")] },
  open: { params: [arg("room", Word)] },
  owner: { params: [] },
  forget: { params: [] },
});
const NothingContract = contract<RpcTarget>("Nothing", {});

const revoked = { code: "permission_denied", reason: "revoked" };
const unavailable = { code: "unavailable" };

interface Scene extends Trio {
  readonly revoker: Revoker;
  /** Methods of badges that ran, and withdrawals that were granted. */
  readonly ran: string[];
  readonly office: RpcStub<Office>;
  readonly door: RpcStub<Door>;
}

/** What the home does to a badge, or to the office that gives badges, before it hands it out. */
interface Policy {
  badge?(badge: Implementation<Badge>, revoker: Revoker): Implementation<Badge>;
  office?(office: Implementation<Office>, revoker: Revoker): Implementation<Office>;
}

function setUp(policy: Policy): Scene {
  const revoker = makeRevoker();
  const ran: string[] = [];
  let live = 0;
  const newBadge = (owner: string) => {
    live += 1;
    const badge = {
      getOwner() {
        ran.push("getOwner");
        return owner;
      },
      mayEnter(room: string) {
        ran.push("mayEnter");
        return room === "lobby";
      },
      [Symbol.dispose]() {
        live -= 1;
      },
    };
    return policy.badge?.(badge, revoker) ?? badge;
  };
  const made: Implementation<Office> = { badgeFor: newBadge };
  const office = policy.office?.(made, revoker) ?? made;
  let kept: RpcStub<Badge> | undefined;
  const trio = makeTrio({
    delayMs: 10,
    homeMain: (home, peer) =>
      peer.name === "gifter" ? home.main(OfficeContract, office, peer) : home.main(NothingContract, {}, peer),
    recipientMain: (recipient, link, peer) =>
      recipient.main(
        DoorContract,
        {
          async meet(badge) {
            kept?.[Symbol.dispose]();
            kept = (await accept(badge, { from: link })) as unknown as RpcStub<Badge>;
            ran.push("withdrawn");
            return await kept.getOwner();
          },
          open: async (room) => await kept!.mayEnter(room),
          owner: async () => await kept!.getOwner(),
          forget() {
            kept?.[Symbol.dispose]();
            return "forgotten";
          },
        },
        peer,
      ),
  });
  const endTrio = trio[Symbol.asyncDispose].bind(trio);
  return Object.assign(trio, {
    revoker,
    ran,
    office: trio.gifterToHome.main as unknown as RpcStub<Office>,
    door: trio.gifterToRecipient.main as unknown as RpcStub<Door>,
    async [Symbol.asyncDispose]() {
      await trio.clock.run((trio.gifterToRecipient.main as unknown as RpcStub<Door>).forget());
      // Longer than a withdrawal waits for its deposit: a gifter whose main object is revoked cannot call it off.
      await trio.clock.advance(3_000);
      expect(live).toBe(0);
      await endTrio();
    },
  });
}

/** Three ways in which a home lets a badge hang on a revoker; the holder sees no difference. */
const ways: Record<string, Policy> = {
  "the badge itself is revocable": { badge: revocable },
  "the badge is attenuated": { badge: (badge, revoker) => attenuate(BadgeContract, badge, { revoker }) },
  "the badge came through a membrane": { office: (office, revoker) => attenuate(OfficeContract, office, { revoker }) },
};

for (const [way, policy] of Object.entries(ways)) {
  describe(`when ${way}`, () => {
    test("revoking it ends it at the recipient, at the gifter, and for every new withdrawal", async () => {
      await using scene = setUp(policy);
      const { clock, office, door, ran } = scene;
      using badge = office.badgeFor("bob");
      using gift = introduce<Badge>(badge, { from: scene.gifterToHome, to: "recipient" });
      expect(await clock.run(gift.answer(door.meet(gift.value)))).toBe("bob");
      expect(await clock.run(door.open("lobby"))).toBe(true);
      scene.revoker.revoke();
      const before = ran.length;
      await expect(clock.run(door.open("lobby"))).rejects.toMatchObject(revoked);
      await expect(clock.run(badge.mayEnter("lobby"))).rejects.toMatchObject(revoked);
      // The deposit is still there, and says what has become of it.
      expect(scene.home.counts().deposits).toBe(1);
      await expect(clock.run(door.meet(gift.value))).rejects.toMatchObject(revoked);
      using again = introduce<Badge>(badge, { from: scene.gifterToHome, to: "recipient" });
      await expect(clock.run(again.answer(door.meet(again.value)))).rejects.toMatchObject(revoked);
      expect(ran).toHaveLength(before);
    });

    test("with the recipient's link to the home cut it is unavailable: revoked or not, never a stale yes", async () => {
      const scene = setUp(policy);
      const { clock, office, door, ran } = scene;
      using badge = office.badgeFor("bob");
      using gift = introduce<Badge>(badge, { from: scene.gifterToHome, to: "recipient" });
      await clock.run(gift.answer(door.meet(gift.value)));
      expect(await clock.run(door.open("lobby"))).toBe(true);
      const before = ran.length;
      scene.recipientToHome.cut();
      await expect(clock.run(door.open("lobby"))).rejects.toMatchObject(unavailable);
      scene.revoker.revoke();
      await expect(clock.run(door.open("lobby"))).rejects.toMatchObject(unavailable);
      expect(ran).toHaveLength(before);
      // The gifter's link holds, and there it is known.
      await expect(clock.run(badge.mayEnter("lobby"))).rejects.toMatchObject(revoked);
    });

    test("a call in flight completes, and the next does not begin", async () => {
      await using scene = setUp(policy);
      const { clock, office, door } = scene;
      using badge = office.badgeFor("bob");
      using gift = introduce<Badge>(badge, { from: scene.gifterToHome, to: "recipient" });
      await clock.run(gift.answer(door.meet(gift.value)));
      const first = door.open("lobby");
      // Two links of 10 ms: it has run at the home, and its answer is on its way.
      await clock.advance(25);
      scene.revoker.revoke();
      const next = door.open("lobby");
      next.catch(() => {});
      expect(await clock.run(first)).toBe(true);
      await expect(clock.run(next)).rejects.toMatchObject(revoked);
    });
  });
}

test("what a recipient waits for, and that is revoked before its deposit arrives, is refused at once", async () => {
  await using scene = setUp({ badge: revocable });
  const { clock, office, door, ran } = scene;
  using badge = await clock.run(office.badgeFor("bob"));
  scene.revoker.revoke();
  using gift = introduce<Badge>(badge as never, { from: scene.gifterToHome, to: "recipient" });
  await expect(clock.run(gift.answer(door.meet(gift.value)))).rejects.toMatchObject(revoked);
  await clock.advance(100);
  expect([ran, scene.home.counts()]).toEqual([[], { deposits: 0, parked: 0 }]);
});

test("an introduction to what ends by itself, or is used up, ends with it", async () => {
  const untilMs = { at: 0 };
  await using scene = setUp({
    badge: (badge) => attenuate(BadgeContract, badge, { until: untilMs.at, times: 2 }),
  });
  const { clock, office, door } = scene;
  untilMs.at = clock.now() + 60_000;
  using badge = office.badgeFor("bob");
  using gift = introduce<Badge>(badge, { from: scene.gifterToHome, to: "recipient" });
  expect(await clock.run(gift.answer(door.meet(gift.value)))).toBe("bob");
  // One count for the gifter and the recipient: it is one capability.
  expect(await clock.run(badge.mayEnter("lobby"))).toBe(true);
  await expect(clock.run(door.owner())).rejects.toMatchObject({ reason: "used_up" });
  await expect(clock.run(door.meet(gift.value))).rejects.toMatchObject({ reason: "used_up" });
  await clock.advance(60_000);
  await expect(clock.run(badge.getOwner())).rejects.toMatchObject({ reason: "expired" });
  expect(scene.home.counts().deposits).toBe(0);
});

test("what only the recipient of a revoked introduction may know, nobody else learns", async () => {
  await using scene = setUp({ badge: revocable });
  using badge = scene.office.badgeFor("bob");
  using gift = introduce<Badge>(badge, { from: scene.gifterToHome, to: "somebody-else" });
  await scene.clock.run(gift.deposited());
  scene.revoker.revoke();
  const call = scene.clock.run(scene.door.meet(gift.value));
  await expect(call).rejects.toMatchObject({ reason: "introduction_refused" });
});

describe("the gifter's attenuated copy, which it hosts itself for a third", () => {
  /** A client of the gifter's holds what the gifter makes of its own stub. */
  async function lend(scene: Scene, attenuation: Attenuation<Badge>) {
    const { clock, office } = scene;
    const stub = await clock.run(office.badgeFor("bob"));
    const LenderContract = contract<Lender>("Lender", { copy: { params: [], returns: BadgeContract } });
    const peer = servicePeer("third");
    const lender = { copy: () => attenuate(BadgeContract, stub as unknown as RpcStub<Badge>, attenuation) };
    const link = makeTestLink({
      clock,
      delayMs: 10,
      from: peer,
      to: { name: "gifter", instance: "g".repeat(16), main: expose(LenderContract, lender, { peer, clock }) },
    });
    const copy = await clock.run((link.main as unknown as RpcStub<Lender>).copy());
    return {
      copy,
      stub,
      link,
      async end() {
        copy[Symbol.dispose]();
        stub[Symbol.dispose]();
        await clock.advance(100);
        expect(link.near.stats()).toEqual(tablesAtRest);
        expect(link.far.stats()).toEqual(tablesAtRest);
      },
    };
  }
  interface Lender extends RpcTarget {
    copy(): Badge;
  }

  test("has what was left of it, and ends when the home revokes the original", async () => {
    await using scene = setUp({ badge: revocable });
    const { clock } = scene;
    const { copy, end } = await lend(scene, { only: ["mayEnter"] });
    expect(await clock.run(copy.mayEnter("lobby"))).toBe(true);
    await expect(clock.run(copy.getOwner())).rejects.toMatchObject({ reason: "attenuated" });
    scene.revoker.revoke();
    await expect(clock.run(copy.mayEnter("lobby"))).rejects.toMatchObject(revoked);
    expect(scene.ran).toEqual(["mayEnter"]);
    await end();
  });

  test("ends when the gifter revokes it, without a word to the home, and the original does not", async () => {
    await using scene = setUp({});
    const { clock } = scene;
    const own = makeRevoker();
    const { copy, stub, end } = await lend(scene, { revoker: own });
    expect(await clock.run(copy.mayEnter("lobby"))).toBe(true);
    own.revoke();
    await clock.advance(100);
    const before = scene.gifterToHome.messages.length;
    await expect(clock.run(copy.mayEnter("lobby"))).rejects.toMatchObject(revoked);
    expect(scene.gifterToHome.messages).toHaveLength(before);
    expect(await clock.run(stub.getOwner())).toBe("bob");
    await end();
  });

  test("is told when to call again, through both links", async () => {
    await using scene = setUp({
      badge: (badge) => attenuate(BadgeContract, badge, { rate: { calls: 1, perMs: 1_000 } }),
    });
    const { clock } = scene;
    const { copy, end } = await lend(scene, {});
    expect(await clock.run(copy.mayEnter("lobby"))).toBe(true);
    await expect(clock.run(copy.mayEnter("lobby"))).rejects.toMatchObject({
      code: "resource_exhausted",
      reason: "rate_limited",
      retryable: true,
      retryAfterMs: 960,
    });
    await end();
  });

  test("is unavailable when the gifter's link to the home is cut", async () => {
    const scene = setUp({ badge: revocable });
    const { clock, ran } = scene;
    const { copy } = await lend(scene, { only: ["mayEnter"] });
    scene.gifterToHome.cut();
    await expect(clock.run(copy.mayEnter("lobby"))).rejects.toMatchObject(unavailable);
    await expect(clock.run(copy.getOwner())).rejects.toMatchObject({ ...unavailable, reason: "capability_lost" });
    expect(ran).toEqual([]);
  });
});
