import { beforeEach, describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { deadlineMsDefault, parkMsMax } from "../base/limits.ts";
import { attenuate } from "../capability/attenuate.ts";
import { contract } from "../capability/contract.ts";
import { makeRevoker, type Revoker, revocable } from "../capability/revoker.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeTrio } from "../testing/trio.ts";
import { deposited, type HearsOfDeposits, type Introducible, introducible } from "./home.ts";
import { accept, introduce } from "./introduce.ts";
import { type Introduction, introductionTo } from "./introduction.ts";

interface Badge extends RpcTarget {
  getOwner(): string;
}
const BadgeContract = contract<Badge>("Badge", { getOwner: { params: [] } });
interface Office extends RpcTarget {
  badge(): Badge & Introducible;
}
const OfficeContract = contract<Office>("Office", {
  badge: { params: [], returns: introducible(BadgeContract) },
});
interface Nothing extends RpcTarget {}
const NothingContract = contract<Nothing>("Nothing", {});
interface Door extends RpcTarget {
  open(badge: Introduction<Badge>): string;
}
const DoorContract = contract<Door>("Door", { open: { params: [introductionTo<Badge>("badge")] } });

let told: { gifter: string; recipient: string }[] = [];
let liveBadges = 0;
let revoker: Revoker;
/** Runs before the trail answers. */
let trail: () => void | Promise<void>;
beforeEach(() => {
  told = [];
  liveBadges = 0;
  revoker = makeRevoker();
  trail = () => {};
});

class HearingBadge implements HearsOfDeposits {
  constructor() {
    liveBadges += 1;
  }
  getOwner() {
    return "bob";
  }
  [deposited](introduction: { gifter: string; recipient: string }) {
    told.push(introduction);
    return trail();
  }
  [Symbol.dispose]() {
    liveBadges -= 1;
  }
}

function setUp() {
  const trio = makeTrio({
    delayMs: 1,
    homeMain(home, peer) {
      // Behind caretakers, through which it hears too.
      const hearing = () => revocable(new HearingBadge(), revoker);
      const badge = () => attenuate(BadgeContract, attenuate(BadgeContract, hearing(), {}), {});
      if (peer.name !== "gifter") return home.main(NothingContract, {}, peer);
      return home.main(OfficeContract, { badge }, peer);
    },
    recipientMain(recipient, link, peer) {
      const open = async (badge: Introduction<Badge>) => {
        using held = accept(badge, { from: link });
        return `welcome ${await held.getOwner()}`;
      };
      return recipient.main(DoorContract, { open }, peer);
    },
  });
  const office = trio.gifterToHome.main as unknown as RpcStub<Office>;
  const door = trio.gifterToRecipient.main as unknown as RpcStub<Door>;
  /** The badge is introduced and let go of in one turn. */
  const present = () => {
    using badge = office.badge();
    const gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient" });
    return { gift, opened: door.open(gift.value) };
  };
  return Object.assign(trio, { present, door });
}

describe("an implementation that hears of its introductions", () => {
  test("hears of one before it is made; whoever withdraws it waits, however long that takes", async () => {
    await using scene = setUp();
    const written = Promise.withResolvers<void>();
    trail = () => written.promise;
    const { gift, opened } = scene.present();
    using _gift = gift;
    void opened.catch(() => {});
    await scene.clock.advance(parkMsMax + 100);
    expect(told).toEqual([{ gifter: "gifter", recipient: "recipient" }]);
    expect(gift.isDeposited).toBe(false);
    expect(scene.home.counts()).toEqual({ deposits: 1, parked: 1 });
    written.resolve();
    expect(await scene.clock.run(gift.answer(opened))).toBe("welcome bob");
  });

  test("that throws is not introduced: the gifter gets its error, the recipient nothing, and nothing is left", async () => {
    await using scene = setUp();
    const full = new FlotillaError("unavailable", "The store cannot be used now", { reason: "store" });
    trail = () => {
      throw full;
    };
    const { gift, opened } = scene.present();
    using _gift = gift;
    const [answered, openedBy] = await scene.clock.run(Promise.allSettled([gift.answer(opened), opened]));
    expect(answered).toMatchObject({ reason: { code: "unavailable", reason: "store" } });
    expect(openedBy).toMatchObject({ reason: { reason: "introduction_refused" } });
    expect(scene.home.counts()).toEqual({ deposits: 0, parked: 0 });
    expect(liveBadges).toBe(0);
  });

  test("that is revoked while it hears is not introduced", async () => {
    await using scene = setUp();
    const written = Promise.withResolvers<void>();
    trail = () => written.promise;
    const { gift, opened } = scene.present();
    using _gift = gift;
    void opened.catch(() => {});
    await scene.clock.advance(10);
    revoker.revoke();
    written.resolve();
    await expect(scene.clock.run(gift.deposited())).rejects.toMatchObject({ reason: "revoked" });
    await expect(scene.clock.run(opened)).rejects.toMatchObject({ reason: "introduction_refused" });
    expect(liveBadges).toBe(0);
  });

  test("that never answers is not introduced: the call ends at its deadline", async () => {
    await using scene = setUp();
    const written = Promise.withResolvers<void>();
    trail = () => written.promise;
    const { gift, opened } = scene.present();
    using _gift = gift;
    void opened.catch(() => {});
    void gift.deposited().catch(() => {});
    await scene.clock.advance(deadlineMsDefault + 100);
    await expect(gift.deposited()).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(scene.home.counts()).toEqual({ deposits: 0, parked: 0 });
    written.resolve();
    await scene.clock.advance(100);
    expect(scene.home.counts().deposits).toBe(0);
    expect(liveBadges).toBe(0);
  });

  test("whose gifter is gone by the time it has heard is left to nobody", async () => {
    const scene = setUp();
    const written = Promise.withResolvers<void>();
    trail = () => written.promise;
    const { gift, opened } = scene.present();
    using _gift = gift;
    void opened.catch(() => {});
    void gift.deposited().catch(() => {});
    await scene.clock.advance(10);
    scene.gifterToHome.near.close(new FlotillaError("unavailable", "gone"));
    await scene.clock.advance(10);
    written.resolve();
    await scene.clock.advance(100);
    expect(scene.home.counts()).toEqual({ deposits: 0, parked: 0 });
    expect(liveBadges).toBe(0);
  });
});
