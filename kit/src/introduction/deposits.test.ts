import { expect, test } from "vitest";
import { introductionMsMax, parkMsMax } from "../base/limits.ts";
import { anonymous } from "../base/peer.ts";
import type { DepositOffer, WithdrawClaim } from "../capability/env.ts";
import { RpcTarget } from "../rpc/stub.ts";
import { servicePeer } from "../testing/trio.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeDeposits } from "./deposits.ts";

class Lent extends RpcTarget {
  [Symbol.dispose]() {}
}

function setUp() {
  const clock = makeVirtualClock();
  const deposits = makeDeposits(clock, { depositsPerPeerMax: 2, parkedPerPeerMax: 2 });
  let made = 0;
  const put = (offer: Partial<DepositOffer> = {}) => {
    made += 1;
    return deposits.put({
      nonce: `nonce ${made}`,
      recipient: "orders",
      lifetimeMs: 60_000,
      gifter: servicePeer("gateway"),
      endsAtMs: undefined,
      assertHolds: () => {},
      exposeFor: () => new Lent(),
      ...offer,
    });
  };
  /** The outcome of a withdrawal; `waits` until there is one. */
  const take = (claim: Partial<WithdrawClaim>) => {
    const said = { outcome: "waits" };
    const peer = servicePeer("orders");
    deposits.take({ nonce: "none", gifter: "gateway", peer, asLoan: false, ...claim }).then(
      () => (said.outcome = "taken"),
      ({ code, reason }) => (said.outcome = reason ?? code),
    );
    return said;
  };
  return { clock, deposits, put, take };
}

const tooMany = expect.objectContaining({ code: "resource_exhausted", reason: "introduction_limit" });

test("a gifter has so many live introductions at once, and room again when one has ended", async () => {
  const { clock, put } = setUp();
  const first = put();
  put({ lifetimeMs: 1_000 });
  expect(() => put()).toThrow(tooMany);
  put({ gifter: servicePeer("desk") });
  first.end();
  first.end();
  put();
  expect(() => put()).toThrow(tooMany);
  await clock.advance(1_000);
  put();
});

test("a recipient has so many withdrawals waiting, and room again when one was answered or given up", async () => {
  const { clock, deposits, put, take } = setUp();
  const [first, second, third] = [take({ nonce: "a" }), take({ nonce: "b" }), take({ nonce: "c" })];
  const other = take({ nonce: "d", peer: servicePeer("shipping") });
  await clock.settle();
  expect([first, second, third, other].map(({ outcome }) => outcome)).toEqual([
    ...["waits", "waits", "introduction_limit", "waits"],
  ]);
  put({ nonce: "a" });
  const fourth = take({ nonce: "e" });
  await clock.settle();
  expect([first.outcome, fourth.outcome]).toEqual(["taken", "waits"]);
  await clock.advance(parkMsMax);
  expect([second.outcome, fourth.outcome]).toEqual(["introduction_refused", "introduction_refused"]);
  expect(deposits.counts()).toEqual({ deposits: 1, parked: 0 });
  const again = [take({ nonce: "f" }), take({ nonce: "g" })];
  await clock.settle();
  expect(again.map(({ outcome }) => outcome)).toEqual(["waits", "waits"]);
});

test("no introduction is granted more than the longest lifetime, or more than its capability has left", () => {
  const { clock, put } = setUp();
  expect(put({ lifetimeMs: 2 * introductionMsMax }).lifetimeMs).toBe(introductionMsMax);
  expect(put({ endsAtMs: clock.now() + 1_000 }).lifetimeMs).toBe(1_000);
});

test("what was deposited once under a nonce stays: a second deposit under it is refused", async () => {
  const { clock, put, take } = setUp();
  put({ nonce: "a" });
  const twice = () => put({ nonce: "a", gifter: servicePeer("desk"), recipient: "desk" });
  expect(twice).toThrow(expect.objectContaining({ code: "already_exists" }));
  const taken = take({ nonce: "a" });
  await clock.settle();
  expect(taken.outcome).toBe("taken");
});

test("a gifter's word that nothing will come ends the waiting for its own gift to that recipient, and no other", async () => {
  const { clock, deposits, take } = setUp();
  const own = take({ nonce: "a" });
  const ofAnotherGifter = take({ nonce: "a", gifter: "desk" });
  const forAnother = take({ nonce: "a", peer: servicePeer("shipping") });
  deposits.cancel({ nonce: "a", recipient: "orders", peer: servicePeer("gateway") });
  await clock.settle();
  expect(own.outcome).toBe("introduction_refused");
  expect([ofAnotherGifter.outcome, forAnother.outcome]).toEqual(["waits", "waits"]);
});

test("a peer that proves no name deposits nothing, withdraws nothing and calls nothing off", async () => {
  const { clock, deposits, put, take } = setUp();
  const refused = expect.objectContaining({ code: "permission_denied", reason: "introduction_refused" });
  expect(() => put({ gifter: anonymous })).toThrow(refused);
  expect(() => deposits.cancel({ nonce: "a", recipient: "orders", peer: anonymous })).toThrow(refused);
  const taken = take({ nonce: "a", peer: anonymous });
  await clock.settle();
  expect(taken.outcome).toBe("introduction_refused");
});
