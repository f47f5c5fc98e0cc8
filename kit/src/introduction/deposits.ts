import type { Cancel, Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { depositsPerPeerMax, introductionMsMax, parkedPerPeerMax, parkMsMax } from "../base/limits.ts";
import type { Peer, ServicePeer } from "../base/peer.ts";
import type { Condition } from "../capability/conditions.ts";
import type { CancelClaim, DepositOffer, WithdrawClaim } from "../capability/env.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { refused } from "./introduction.ts";

/** What lies at its home for one recipient. */
interface Deposit {
  readonly gifter: string;
  readonly offer: DepositOffer;
  /** Keeps the implementation alive while the deposit does, whoever else lets go of it. */
  readonly hold: RpcTarget & Disposable;
  readonly cancelExpiry: Cancel;
  /** Refuses once the deposit has ended: what is lent ends with it. */
  readonly whileDeposited: Condition;
  /** It was lent to a session that may keep answers. */
  isLeased: boolean;
}

/** A withdrawal that overtook its deposit: it travels over another link. */
interface Parked {
  readonly claim: WithdrawClaim;
  readonly recipient: ServicePeer;
  resolve(capability: RpcTarget): void;
  reject(reason: FlotillaError): void;
}

export interface Deposits {
  /**
   * Announces what `put` will follow with: withdrawals wait for it however long that takes, and its capability is kept
   * alive. Refuses what `put` would refuse. Disposed without a `put`, it refuses those that wait.
   */
  expect(offer: DepositOffer): Disposable;
  /** @returns the lifetime granted, and what ends the deposit (idempotent). */
  put(offer: DepositOffer): { readonly lifetimeMs: number; readonly end: () => void };
  take(claim: WithdrawClaim): Promise<RpcTarget>;
  cancel(claim: CancelClaim): void;
  counts(): { deposits: number; parked: number };
}

export interface DepositLimits {
  readonly depositsPerPeerMax: number;
  readonly parkedPerPeerMax: number;
}

const depositLimits: DepositLimits = { depositsPerPeerMax, parkedPerPeerMax };

/** The table of one home, which hears `onEnd` when one ends that was lent. A deposit serves any number of withdrawals of its recipient until it ends. */
export function makeDeposits(clock: Clock, limits = depositLimits, onEnd: () => void = () => {}): Deposits {
  const deposits = new Map<string, Deposit>();
  const expected = new Map<string, Pick<Deposit, "offer" | "hold">>();
  const parked = new Map<string, Parked[]>();
  const depositsOf = makeCounter();
  const parkedOf = makeCounter();

  return { expect, put, take, cancel, counts };

  function expect(offer: DepositOffer): Disposable {
    const { nonce } = offer;
    const gifter = gifterWithRoom(offer);
    const announced = { offer, hold: offer.exposeFor(gifter) };
    expected.set(nonce, announced);
    depositsOf.add(gifter.name);
    return {
      [Symbol.dispose]() {
        if (expected.get(nonce) !== announced) return;
        expected.delete(nonce);
        depositsOf.remove(gifter.name);
        announced.hold[Symbol.dispose]();
        for (const waiting of unpark(nonce)) waiting.reject(refused());
      },
    };
  }

  function put(offer: DepositOffer): { lifetimeMs: number; end: () => void } {
    const { nonce } = offer;
    const lifetimeMs = grantedMs(offer);
    const announced = expected.get(nonce);
    const isExpected = announced?.offer === offer;
    const gifter = isExpected ? asService(offer.gifter) : gifterWithRoom(offer);
    const deposit: Deposit = {
      gifter: gifter.name,
      offer,
      hold: isExpected ? announced.hold : offer.exposeFor(gifter),
      cancelExpiry: clock.after(lifetimeMs, () => end(nonce, deposit)),
      isLeased: false,
      whileDeposited: {
        endsAtMs: clock.now() + lifetimeMs,
        refusal: () => (deposits.get(nonce) === deposit ? undefined : refused()),
      },
    };
    deposits.set(nonce, deposit);
    if (isExpected) expected.delete(nonce);
    else depositsOf.add(gifter.name);
    for (const waiting of unpark(nonce)) {
      if (isFor(deposit, waiting.claim)) waiting.resolve(give(deposit, waiting.claim));
      else waiting.reject(refused());
    }
    return { lifetimeMs, end: () => end(nonce, deposit) };
  }

  function end(nonce: string, deposit: Deposit): void {
    if (deposits.get(nonce) !== deposit) return;
    deposits.delete(nonce);
    depositsOf.remove(deposit.gifter);
    deposit.cancelExpiry();
    deposit.hold[Symbol.dispose]();
    if (deposit.isLeased) onEnd();
  }

  async function take(claim: WithdrawClaim): Promise<RpcTarget> {
    const recipient = asService(claim.peer);
    const deposit = deposits.get(claim.nonce);
    if (!deposit) return park(claim, recipient);
    if (!isFor(deposit, claim)) throw refused();
    deposit.offer.assertHolds();
    return give(deposit, claim);
  }

  function give(deposit: Deposit, { peer, asLoan, leases }: WithdrawClaim): RpcTarget {
    const { offer, whileDeposited } = deposit;
    if (asLoan && leases) deposit.isLeased = true;
    return offer.exposeFor(peer, asLoan ? { whileHolds: whileDeposited, leases } : undefined);
  }

  function park(claim: WithdrawClaim, recipient: ServicePeer): Promise<RpcTarget> {
    if (parkedOf.count(recipient.name) >= limits.parkedPerPeerMax)
      throw tooMany("withdrawals that wait for their deposit");
    const { promise, resolve, reject } = Promise.withResolvers<RpcTarget>();
    const waiting: Parked = { claim, recipient, resolve, reject };
    parked.set(claim.nonce, [...(parked.get(claim.nonce) ?? []), waiting]);
    parkedOf.add(recipient.name);
    const cancelWait = clock.after(parkMsMax, () => {
      if (expected.has(claim.nonce)) return;
      unpark(claim.nonce, (candidate) => candidate === waiting);
      reject(refused());
    });
    return promise.finally(cancelWait);
  }

  /** Takes the parked withdrawals of `nonce` that `which` picks off the table. */
  function unpark(nonce: string, which: (waiting: Parked) => boolean = () => true): Parked[] {
    const all = parked.get(nonce) ?? [];
    const picked = all.filter(which);
    const left = all.filter((waiting) => !picked.includes(waiting));
    if (left.length > 0) parked.set(nonce, left);
    else parked.delete(nonce);
    for (const waiting of picked) parkedOf.remove(waiting.recipient.name);
    return picked;
  }

  /** The gifter's word that nothing will be deposited, so that whoever waits for it learns it now. */
  function cancel({ nonce, recipient, peer }: CancelClaim): void {
    const gifter = asService(peer);
    const mine = (waiting: Parked) => waiting.claim.gifter === gifter.name && waiting.recipient.name === recipient;
    for (const waiting of unpark(nonce, mine)) waiting.reject(refused());
  }

  function counts(): { deposits: number; parked: number } {
    return {
      deposits: deposits.size + expected.size,
      parked: [...parked.values()].reduce((sum, list) => sum + list.length, 0),
    };
  }

  function gifterWithRoom({ nonce, gifter }: DepositOffer): ServicePeer {
    const service = asService(gifter);
    if (deposits.has(nonce) || expected.has(nonce)) {
      throw new FlotillaError("already_exists", "The introduction was deposited before");
    }
    if (depositsOf.count(service.name) >= limits.depositsPerPeerMax) throw tooMany("live introductions");
    return service;
  }

  function grantedMs({ lifetimeMs, endsAtMs = Number.POSITIVE_INFINITY }: DepositOffer): number {
    return Math.max(0, Math.min(lifetimeMs, introductionMsMax, endsAtMs - clock.now()));
  }
}

/** SECURITY: both ends count. A stolen introduction comes from another gifter, a leaked one to another recipient. */
function isFor(deposit: Deposit, claim: WithdrawClaim): boolean {
  return deposit.offer.recipient === asService(claim.peer).name && deposit.gifter === claim.gifter;
}

export function asService(peer: Peer): ServicePeer {
  if (peer.kind !== "service") throw refused("Only services introduce each other");
  return peer;
}

function tooMany(what: string): FlotillaError {
  return new FlotillaError("resource_exhausted", `Too many ${what}`, { reason: "introduction_limit" });
}

function makeCounter() {
  const counts = new Map<string, number>();
  return {
    count: (name: string) => counts.get(name) ?? 0,
    add: (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1),
    remove(name: string) {
      const left = (counts.get(name) ?? 0) - 1;
      if (left > 0) counts.set(name, left);
      else counts.delete(name);
    },
  };
}
