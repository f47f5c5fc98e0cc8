import { Type } from "typebox";
import { describe, expect, test } from "vitest";
import { currentContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { arg, contract } from "../capability/contract.ts";
import { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeRig } from "../testing/rig.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { makeTrio, servicePeer, type Trio } from "../testing/trio.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type Introducible, introducible, makeHome } from "./home.ts";
import { accept, introduce } from "./introduce.ts";
import { type Introduction, introductionTo } from "./introduction.ts";

interface Badge extends RpcTarget {
  getOwner(): string;
  mayEnter(room: string): boolean;
}
const BadgeContract = contract<Badge>("Badge", {
  getOwner: { params: [] },
  mayEnter: { params: [arg("room", Type.String({ maxLength: 40 }))] },
});

interface Office extends RpcTarget {
  badgeFor(token: string): Badge & Introducible;
  showBadge(owner: string): Badge;
}
const Token = arg("token", Type.String({ maxLength: 40 }));
const OfficeContract = contract<Office>("Office", {
  badgeFor: { params: [Token], returns: introducible(BadgeContract) },
  showBadge: { params: [arg("owner", Type.String())], returns: BadgeContract },
});
interface Nothing extends RpcTarget {}
const NothingContract = contract<Nothing>("Nothing", {});

interface Door extends RpcTarget {
  open(badge: Introduction<Badge>): string;
}
const DoorContract = contract<Door>("Door", { open: { params: [introductionTo<Badge>("badge")] } });

let callsOnBadges = 0;
let liveBadges = 0;

class OfficeImpl {
  badgeFor(token: string) {
    if (token !== "good") throw new FlotillaError("unauthenticated", "Invalid or expired token");
    return new BadgeImpl("bob");
  }
  showBadge(owner: string) {
    return new BadgeImpl(owner);
  }
}
class BadgeImpl {
  readonly #owner: string;
  constructor(owner: string) {
    this.#owner = owner;
    liveBadges += 1;
  }
  getOwner() {
    callsOnBadges += 1;
    return this.#owner;
  }
  mayEnter(room: string) {
    callsOnBadges += 1;
    return room === "lobby";
  }
  [Symbol.dispose]() {
    liveBadges -= 1;
  }
}

type OfficeStub = RpcStub<Office>;
type DoorStub = RpcStub<Door>;

function setUp(delayMs = 0): Trio & { office: OfficeStub; door: DoorStub } {
  callsOnBadges = 0;
  liveBadges = 0;
  const trio = makeTrio({
    delayMs,
    homeMain: (home, peer) =>
      peer.name === "gifter" ? home.main(OfficeContract, new OfficeImpl(), peer) : home.main(NothingContract, {}, peer),
    recipientMain: (recipient, link, peer) =>
      recipient.main(
        DoorContract,
        {
          async open(badge: Introduction<Badge>) {
            using held = accept(badge, { from: link });
            const [owner, allowed] = await Promise.all([held.getOwner(), held.mayEnter("lobby")]);
            return allowed ? `welcome ${owner}` : "no";
          },
        },
        peer,
      ),
  });
  return Object.assign(trio, {
    office: trio.gifterToHome.main as unknown as OfficeStub,
    door: trio.gifterToRecipient.main as unknown as DoorStub,
  });
}

/** What the gateway does for one order. */
async function enter({ office, door, gifterToHome }: ReturnType<typeof setUp>, token = "good"): Promise<string> {
  using badge = office.badgeFor(token);
  using gift = introduce<Badge>(badge, { from: gifterToHome, to: "recipient" });
  return await gift.answer(door.open(gift.value));
}

describe("an introduction", () => {
  test("gives the recipient the capability of the home in 4 hops, and leaves nothing behind", async () => {
    await using trio = setUp(10);
    const startMs = trio.clock.monotonicMs();
    expect(await trio.clock.run(enter(trio))).toBe("welcome bob");
    expect(trio.clock.monotonicMs() - startMs).toBe(40);
    await trio.clock.advance(100);
    expect(trio.gifterToHome.messages).toHaveLength(6);
    expect(trio.gifterToRecipient.messages).toHaveLength(3);
    expect(trio.recipientToHome.messages).toHaveLength(7);
    expect(liveBadges).toBe(0);
  });

  test("can be used again while it lives, and then its home hears only the recipient", async () => {
    await using trio = setUp(10);
    using badge = trio.office.badgeFor("good");
    {
      using gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient" });
      await trio.clock.run(gift.answer(trio.door.open(gift.value)));
      await trio.clock.advance(100);
      const before = trio.gifterToHome.messages.length;
      for (let round = 0; round < 3; round += 1) await trio.clock.run(gift.answer(trio.door.open(gift.value)));
      expect(trio.gifterToHome.messages).toHaveLength(before);
      expect(trio.home.counts()).toEqual({ deposits: 1, parked: 0 });
    }
  });

  test("that was ended gives nothing any more", async () => {
    await using trio = setUp();
    using badge = trio.office.badgeFor("good");
    const gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient" });
    await trio.clock.run(gift.answer(trio.door.open(gift.value)));
    gift[Symbol.dispose]();
    await expect(trio.clock.run(trio.door.open(gift.value))).rejects.toMatchObject({ code: "permission_denied" });
    expect(callsOnBadges).toBe(2);
  });

  test("whose deposit is refused answers with the home's error, without waiting for the recipient", async () => {
    await using trio = setUp(10);
    const startMs = trio.clock.monotonicMs();
    const failure = trio.clock.run(enter(trio, "bad"));
    await expect(failure).rejects.toMatchObject({ code: "unauthenticated", message: "Invalid or expired token" });
    expect(trio.clock.monotonicMs() - startMs).toBe(20);
    await trio.clock.advance(100);
    expect(trio.home.counts()).toEqual({ deposits: 0, parked: 0 });
  });

  test("ends with the gifter's session, but what was withdrawn stays", async () => {
    const trio = setUp();
    using badge = trio.office.badgeFor("good");
    const gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient" });
    await trio.clock.run(gift.answer(trio.door.open(gift.value)));
    expect(trio.home.counts().deposits).toBe(1);
    trio.gifterToHome.cut();
    await trio.clock.settle();
    expect(trio.home.counts().deposits).toBe(0);
    await expect(trio.clock.run(trio.door.open(gift.value))).rejects.toMatchObject({ reason: "introduction_refused" });
  });

  test("is ended by its gifter a tenth of its time before its home would, so that no call is sent with an old one", async () => {
    await using trio = setUp();
    using badge = trio.office.badgeFor("good");
    using gift = introduce<Badge>(badge, {
      ...{ from: trio.gifterToHome, to: "recipient", lifetimeMs: 1_000 },
      clock: trio.clock,
    });
    await trio.clock.run(gift.deposited());
    await trio.clock.advance(890);
    expect(gift.isLive).toBe(true);
    await trio.clock.advance(20);
    expect(gift.isLive).toBe(false);
  });

  test("expires at its home", async () => {
    await using trio = setUp();
    using badge = trio.office.badgeFor("good");
    using gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient", lifetimeMs: 1_000 });
    await trio.clock.run(gift.answer(trio.door.open(gift.value)));
    await trio.clock.advance(1_000);
    expect(trio.home.counts().deposits).toBe(0);
    await expect(trio.clock.run(trio.door.open(gift.value))).rejects.toMatchObject({ reason: "introduction_refused" });
  });
});

describe("what yields nothing", () => {
  const denied = { code: "permission_denied" };
  const forged = (overrides: object = {}) => ({
    introduction: "A".repeat(24),
    home: "home",
    instance: "B".repeat(16),
    ...overrides,
  });

  async function expectDenied(trio: ReturnType<typeof setUp>, value: unknown): Promise<void> {
    await expect(trio.clock.run(trio.door.open(value as Introduction<Badge>))).rejects.toMatchObject(denied);
    expect(callsOnBadges).toBe(0);
  }

  test("an object, a function, a target or a look-alike in the place of an introduction", async () => {
    await using trio = setUp();
    let called = 0;
    class Fake extends RpcTarget {
      getOwner() {
        called += 1;
        return "admin";
      }
      mayEnter() {
        called += 1;
        return true;
      }
    }
    const fakes = [
      { mayEnter: true },
      () => true,
      new Fake(),
      [new Fake()],
      { ...forged(), extra: new Fake() },
      null,
      "bob",
      7,
    ];
    for (const fake of fakes) await expectDenied(trio, fake);
    expect(called).toBe(0);
  });

  test("a live badge of the home's, relayed by hand", async () => {
    await using trio = setUp();
    using badge = trio.office.badgeFor("good");
    using live = badge.dup();
    await expectDenied(trio, live);
  });

  test("an introduction that was invented", async () => {
    await using trio = setUp();
    await expect(trio.clock.run(trio.door.open(forged({ instance: trio.home.instance })))).rejects.toMatchObject(
      denied,
    );
    await expectDenied(trio, forged({ home: "elsewhere" }));
    await expect(trio.clock.run(trio.door.open(forged()))).rejects.toMatchObject({
      code: "unavailable",
      reason: "home_restarted",
    });
  });

  test("an introduction stolen from the gifter and sent through its rightful recipient by another peer", async () => {
    await using trio = setUp();
    using badge = trio.office.badgeFor("good");
    using gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "recipient" });
    await trio.clock.run(gift.answer(trio.door.open(gift.value)));
    const before = callsOnBadges;
    const main = trio.recipient.main(
      DoorContract,
      {
        async open(stolen: Introduction<Badge>) {
          using held = accept(stolen, { from: trio.recipientToHome });
          return await held.getOwner();
        },
      },
      servicePeer("mallory"),
    );
    const theft = makeTestLink({
      clock: trio.clock,
      from: servicePeer("mallory"),
      to: { name: "recipient", instance: trio.recipient.instance, main },
    });
    const call = (theft.main as unknown as DoorStub).open(gift.value);
    await expect(trio.clock.run(call)).rejects.toMatchObject(denied);
    expect(callsOnBadges).toBe(before);
  });

  test("an introduction withdrawn by a peer for whom it was not deposited", async () => {
    await using trio = setUp();
    using badge = trio.office.badgeFor("good");
    using gift = introduce<Badge>(badge, { from: trio.gifterToHome, to: "somebody-else" });
    await expectDenied(trio, gift.value);
  });

  test("a capability that came without the right to introduce it", async () => {
    await using trio = setUp();
    using shown = trio.office.showBadge("admin") as unknown as RpcPromise<Badge & Introducible>;
    using gift = introduce<Badge>(shown, { from: trio.gifterToHome, to: "recipient" });
    const call = gift.answer(trio.door.open(gift.value));
    await expect(trio.clock.run(call)).rejects.toMatchObject({ code: "unimplemented" });
    await trio.clock.advance(5_000);
  });

  test("the gifter's own object: there is nothing at the home that takes one", async () => {
    await using trio = setUp();
    class Forgery extends RpcTarget {
      getOwner() {
        return "admin";
      }
    }
    const office = trio.office as unknown as {
      deposit(...args: unknown[]): Promise<unknown>;
      badgeFor(value: unknown): Promise<unknown>;
    };
    await expect(trio.clock.run(office.deposit("A".repeat(24), "recipient", 1_000))).rejects.toMatchObject({
      code: "unimplemented",
    });
    await expect(trio.clock.run(office.badgeFor(new Forgery()))).rejects.toMatchObject({ code: "invalid_argument" });
    using badge = trio.office.badgeFor("good");
    const deposit = (badge as unknown as { deposit(...args: unknown[]): Promise<unknown> }).deposit;
    const forgery = deposit("A".repeat(24), "recipient", 1_000, new Forgery());
    await expect(trio.clock.run(forgery)).rejects.toMatchObject({ code: "invalid_argument" });
  });

  test("a promise of the sender's: it is not sent, and nothing else ends", async () => {
    const trio = setUp();
    const { promise } = Promise.withResolvers<RpcTarget>();
    const call = (trio.door as unknown as { open(value: unknown): Promise<string> }).open(new RpcPromise(promise));
    await expect(trio.clock.run(call)).rejects.toMatchObject({ code: "unimplemented" });
    expect(trio.gifterToRecipient.messages).toEqual([]);
  });
});

test("a withdrawal for which no deposit ever comes is refused after a while", async () => {
  await using trio = setUp(10);
  const call = trio.clock.run(
    trio.door.open({ introduction: "C".repeat(24), home: "home", instance: trio.home.instance }),
  );
  await expect(call).rejects.toMatchObject({ reason: "introduction_refused" });
});

test("the trace, the deadline and the callers arrive with the calls on the withdrawn capability", async () => {
  const seen: unknown[] = [];
  await using trio = setUp();
  const original = BadgeImpl.prototype.getOwner;
  BadgeImpl.prototype.getOwner = function (this: BadgeImpl) {
    seen.push(currentContext());
    return original.call(this);
  };
  try {
    await trio.clock.run(enter(trio));
  } finally {
    BadgeImpl.prototype.getOwner = original;
  }
  expect(seen).toMatchObject([{ callers: ["gifter", "recipient"], traceId: expect.stringMatching(/^[0-9a-f]{32}$/) }]);
});

void RpcStub;

describe("an anonymous connection", () => {
  const refusal = (what: string) => ({
    code: "failed_precondition",
    reason: "anonymous_connection",
    message: `Nothing can be ${what} over an anonymous connection: connect to home with \`as\``,
  });

  test("carries no introduction, and who introduces is told what is missing", async () => {
    await using rig = makeRig();
    const home = makeHome({ name: "home" });
    const { url } = await rig.serve({ main: (peer) => home.main(OfficeContract, new OfficeImpl(), peer) });
    const connection = rig.connect<Office>({ url });
    for (const isOpen of [false, true]) {
      if (isOpen) await connection.opened();
      using badge = connection.main.badgeFor("good");
      expect(thrownBy(() => introduce<Badge>(badge, { from: connection, to: "recipient" }))).toMatchObject(
        refusal("introduced"),
      );
      expect(await badge.getOwner()).toBe("bob");
    }
  });

  test("withdraws nothing, and who accepts is told what is missing", async () => {
    await using rig = makeRig();
    const connection = rig.connect<Office>({ url: "http://127.0.0.1:1" });
    const wire = { introduction: "n".repeat(24), home: "home", instance: "i".repeat(16) };
    const env = { peer: servicePeer("gifter"), clock: makeVirtualClock() };
    const received = introductionTo<Badge>("badge").receive(wire, env) as Introduction<Badge>;
    expect(thrownBy(() => accept(received, { from: connection }))).toMatchObject(refusal("accepted"));
    expect(connection.isAnonymous).toBe(true);
  });
});

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
