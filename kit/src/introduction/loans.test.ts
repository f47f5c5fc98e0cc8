import { Type } from "typebox";
import { expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { arg, contract } from "../capability/contract.ts";
import { makeRevoker, revocable } from "../capability/revoker.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeTrio, servicePeer, type Trio } from "../testing/trio.ts";
import { type Introducible, introducible } from "./home.ts";
import { type Gifted, introduce } from "./introduce.ts";
import { type Introduction, introductionTo } from "./introduction.ts";
import { type Loans, type LoansOptions, makeLoans } from "./loans.ts";

// The gifter introduces badges of the home's to the recipient, a door that keeps them as loans.

interface Badge extends RpcTarget {
  getOwner(): string;
  mayEnter(room: string): boolean;
}
interface Office extends RpcTarget {
  badgeFor(owner: string): Badge & Introducible;
}
interface Door extends RpcTarget {
  open(badge: Introduction<Badge>, room: string): string;
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
  open: { params: [introductionTo<Badge>("badge"), arg("room", Word)] },
});
const NothingContract = contract<RpcTarget>("Nothing", {});

const refused = { code: "permission_denied", reason: "introduction_refused" };
const delayMs = 10;

interface Scene extends Trio {
  readonly loans: Loans;
  readonly revoke: () => void;
  /** Calls of badges that ran. */
  readonly ran: string[];
  badgeOf(owner: string, lifetimeMs?: number): Gifted<Badge>;
  open(gift: Gifted<Badge>, room?: string): Promise<string>;
  /** At once. */
  openAll(gifts: readonly Gifted<Badge>[]): Promise<string[]>;
}

function setUp(options: Partial<LoansOptions> = {}, onEnter = () => {}): Scene {
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
        onEnter();
        return room === "lobby";
      },
      [Symbol.dispose]() {
        live -= 1;
      },
    };
    return revocable(badge, revoker);
  };
  let loans: Loans | undefined;
  const trio = makeTrio({
    delayMs,
    homeMain: (home, peer) =>
      peer.name === "gifter"
        ? home.main(OfficeContract, { badgeFor: newBadge }, peer)
        : home.main(NothingContract, {}, peer),
    recipientMain(recipient, from, peer, clock) {
      const made = makeLoans({ from, clock, ...options });
      loans = made;
      const door = {
        async open(badge: Introduction<Badge>, room: string) {
          const [owner, mayEnter] = await made.with(badge, ({ capability, constant }) =>
            Promise.all([constant("getOwner"), capability.mayEnter(room)]),
          );
          if (!mayEnter) throw new FlotillaError("permission_denied", `${owner} may not enter`);
          return owner;
        },
      };
      return recipient.main(DoorContract, door, peer);
    },
  });
  const { clock } = trio;
  const office = trio.gifterToHome.main as unknown as RpcStub<Office>;
  const door = trio.gifterToRecipient.main as unknown as RpcStub<Door>;
  const endTrio = trio[Symbol.asyncDispose].bind(trio);
  return Object.assign(trio, {
    loans: loans!,
    revoke: () => revoker.revoke(),
    ran,
    badgeOf(owner: string, lifetimeMs = 60_000) {
      using badge = office.badgeFor(owner);
      return introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient", lifetimeMs, clock });
    },
    open: (gift: Gifted<Badge>, room = "lobby") => clock.run(door.open(gift.value, room)),
    openAll: (gifts: readonly Gifted<Badge>[]) =>
      clock.run(Promise.all(gifts.map((gift) => door.open(gift.value, "lobby")))),
    async [Symbol.asyncDispose]() {
      loans![Symbol.dispose]();
      await clock.advance(delayMs * 4);
      expect(live).toBe(0);
      await endTrio();
    },
  });
}

test("what is introduced again and again is withdrawn once, and asked once for what never changes", async () => {
  await using scene = setUp();
  using bob = scene.badgeOf("bob");
  expect(await scene.open(bob)).toBe("bob");
  expect(await scene.open(bob)).toBe("bob");
  await expect(scene.open(bob, "vault")).rejects.toMatchObject({ code: "permission_denied", message: /bob may not/ });
  expect(scene.ran).toEqual(["getOwner", "mayEnter", "mayEnter", "mayEnter"]);
  expect(scene.loans.size).toBe(1);
});

test("calls that come at once share one withdrawal", async () => {
  await using scene = setUp();
  using bob = scene.badgeOf("bob");
  expect(await scene.openAll([bob, bob, bob])).toEqual(["bob", "bob", "bob"]);
  expect(scene.ran.filter((method) => method === "getOwner")).toHaveLength(1);
  expect(scene.loans.size).toBe(1);
});

test("ends with the introduction: disposed by its gifter it is refused at the next call, as a new withdrawal is", async () => {
  await using scene = setUp();
  const bob = scene.badgeOf("bob");
  await scene.open(bob);
  bob[Symbol.dispose]();
  await scene.clock.advance(delayMs * 2);
  const before = scene.ran.length;
  await expect(scene.open(bob)).rejects.toMatchObject(refused);
  expect(scene.loans.size).toBe(0);
  await expect(scene.open(bob)).rejects.toMatchObject(refused);
  expect(scene.ran).toHaveLength(before);
});

test("ends when the time of the introduction has run out at the home", async () => {
  await using scene = setUp();
  using bob = scene.badgeOf("bob", 1_000);
  await scene.open(bob);
  await scene.clock.advance(1_000);
  const before = scene.ran.length;
  await expect(scene.open(bob)).rejects.toMatchObject(refused);
  expect(scene.ran).toHaveLength(before);
});

test("ends when the gifter's session with the home does", async () => {
  const scene = setUp();
  const bob = scene.badgeOf("bob");
  await scene.open(bob);
  scene.gifterToHome.cut();
  await scene.clock.advance(delayMs * 2);
  await expect(scene.open(bob)).rejects.toMatchObject(refused);
  expect(scene.home.counts()).toEqual({ deposits: 0, parked: 0 });
});

test("ends when the capability is revoked, for the reason that the home gives", async () => {
  await using scene = setUp();
  using bob = scene.badgeOf("bob");
  await scene.open(bob);
  scene.revoke();
  await expect(scene.open(bob)).rejects.toMatchObject({ code: "permission_denied", reason: "revoked" });
  expect(scene.loans.size).toBe(0);
});

test("is unavailable while the home is out of reach: never a kept answer alone", async () => {
  const scene = setUp();
  using bob = scene.badgeOf("bob");
  await scene.open(bob);
  scene.recipientToHome.cut();
  await expect(scene.open(bob)).rejects.toMatchObject({ code: "unavailable" });
});

// Only so does the gifter know to introduce anew, at another instance: its own link to the home may well stand.
test("says that the home is lost, when it goes during a question or will take none", async () => {
  const scene: Scene = setUp({}, () => scene.recipientToHome.cut());
  using bob = scene.badgeOf("bob");
  await expect(scene.open(bob)).rejects.toMatchObject({ code: "unavailable", reason: "home_unreachable" });
  expect(scene.loans.size).toBe(0);

  await using other = setUp();
  using carol = other.badgeOf("carol");
  await other.open(carol);
  void other.recipientToHome.far.drain();
  await expect(other.open(carol)).rejects.toMatchObject({ code: "unavailable", reason: "home_unreachable" });
});

test("says nothing of the home when something else is unavailable", async () => {
  await using scene = setUp({}, () => {
    throw new FlotillaError("unavailable", "the door's own", { reason: "stuck" });
  });
  using bob = scene.badgeOf("bob");
  await expect(scene.open(bob)).rejects.toMatchObject({ code: "unavailable", reason: "stuck" });
});

test("is given back when nobody used it for a while, and not before", async () => {
  await using scene = setUp({ idleMs: 10_000 });
  using bob = scene.badgeOf("bob");
  using carol = scene.badgeOf("carol");
  await scene.open(bob);
  await scene.open(carol);
  await scene.clock.advance(9_000);
  await scene.open(carol);
  expect(scene.loans.size).toBe(2);
  await scene.clock.advance(1_000);
  expect(scene.loans.size).toBe(1);
  await scene.clock.advance(10_000);
  expect(scene.loans.size).toBe(0);
  expect(scene.recipientToHome.near.stats()).toEqual({ imports: 1, exports: 1 });
  expect(await scene.open(bob)).toBe("bob");
});

test("above as many as are kept, the one that was not used longest is given back, in use or not", async () => {
  await using scene = setUp({ entriesMax: 2 });
  using bob = scene.badgeOf("bob");
  using carol = scene.badgeOf("carol");
  using dave = scene.badgeOf("dave");
  expect(await scene.openAll([bob, carol, dave])).toEqual(["bob", "carol", "dave"]);
  expect(scene.loans.size).toBe(2);
  await scene.open(carol);
  await scene.open(dave);
  expect(scene.ran.filter((method) => method === "getOwner")).toHaveLength(3);
  await scene.open(bob);
  expect(scene.ran.filter((method) => method === "getOwner")).toHaveLength(4);
});

test("is of use to the one it was introduced by: the same introduction from another gifter is refused", async () => {
  await using scene = setUp();
  using bob = scene.badgeOf("bob");
  await scene.open(bob);
  const thief = servicePeer("thief");
  const stolen = introductionTo<Badge>("badge").receive({ ...bob.value }, { peer: thief, clock: scene.clock });
  const call = scene.loans.with(stolen as Introduction<Badge>, ({ capability }) => capability.mayEnter("lobby"));
  await expect(scene.clock.run(call)).rejects.toMatchObject(refused);
  // And the one it was meant for still has it.
  expect(await scene.open(bob)).toBe("bob");
  expect(scene.ran.filter((method) => method === "getOwner")).toHaveLength(1);
});
