import { Type } from "typebox";
import { type Clock, systemClock } from "../base/clock.ts";
import { currentContext, deadlineExceeded, inTime } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { newInstanceId } from "../base/ids.ts";
import { introductionMsMax } from "../base/limits.ts";
import type { Peer, ServicePeer } from "../base/peer.ts";
import { onlyWhile } from "../capability/attenuate.ts";
import { expose } from "../capability/boundary.ts";
import { assertHolds, caretakerOf, endsAt } from "../capability/conditions.ts";
import {
  arg,
  type BuiltInCall,
  type Contract,
  callback,
  type Implementation,
  optional,
  withBuiltIns,
} from "../capability/contract.ts";
import type { DepositOffer, Env, HomePort } from "../capability/env.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { asService, type DepositLimits, makeDeposits } from "./deposits.ts";
import { Handle } from "./handle.ts";
import { refused } from "./introduction.ts";
import { type LeaseHolder, type LeaseOptions, makeLeases } from "./leases.ts";

/** A capability that its holder may introduce to others: the deposit is a method of the capability itself. */
export interface Introducible extends RpcTarget {
  /** Leaves this capability for one named recipient. Called by `introduce`, not by hand. */
  deposit(nonce: string, recipient: string, lifetimeMs: number): DepositReceipt;
}

/** The name of the method by which an implementation hears of its deposits. */
export const deposited: unique symbol = Symbol("flotilla.deposited");

/**
 * An implementation that hears to whom it is introduced before that happens, for an audit trail. A caretaker passes it on.
 * If the method throws, there is no introduction, and the gifter gets the error.
 */
export interface HearsOfDeposits {
  [deposited](introduction: { readonly gifter: string; readonly recipient: string }): void | Promise<void>;
}

export interface DepositReceipt {
  /** Released, it ends the deposit. */
  readonly deposit: RpcTarget;
  /** What the home granted; less than was asked for when the capability itself ends sooner. */
  readonly lifetimeMs: number;
}

/** What every authenticated peer can ask of the main object of a home. Called by `accept`, `makeLoans` and `introduce`. */
export interface HomeMain extends RpcTarget {
  /** `asLoan`: what is withdrawn ends with the introduction. */
  withdraw(nonce: string, gifter: string, asLoan?: boolean): RpcTarget;
  cancelDeposit(nonce: string, recipient: string): void;
  /** The session may keep standing answers of its loans, and `holder` hears when they no longer count. */
  takeLeases(holder: LeaseHolder): RpcTarget;
}

/** What `makeHome` takes. */
export interface HomeOptions {
  /** The service's name, as its key says it. */
  readonly name: string;
  readonly clock?: Clock;
  readonly limits?: DepositLimits;
  /**
   * Lets recipients keep the answers of `standing` methods of what they borrowed. Default: none does. Whatever changes such an
   * answer, a revocation among them, must `await recall()` before it answers its own caller.
   */
  readonly leases?: LeaseOptions | undefined;
  readonly onFault?: (fault: unknown) => void;
}

/** One run of a service as the place where its capabilities live. */
export interface Home {
  readonly name: string;
  readonly instance: string;
  /** The main object for one session: `implementation` behind `contract`, and what introductions need. */
  main<I>(contract: Contract<I>, implementation: Implementation<I>, peer: Peer): RpcTarget;
  /** Live deposits, and withdrawals that wait for theirs. */
  counts(): { deposits: number; parked: number };
  /**
   * Takes back every standing answer that was given. Resolves when no recipient uses one any more that it was given before:
   * each has said so, or its lease is over. At once without `leases`.
   */
  recall(): Promise<void>;
}

/** A new run of the service `name`, with nothing deposited. Serve with its `instance`: introductions name that. */
export function makeHome({ name, clock = systemClock, limits, leases: leasing, onFault }: HomeOptions): Home {
  const leases = leasing && makeLeases(clock, leasing);
  const deposits = makeDeposits(clock, limits, () => void leases?.recall());
  const port = {
    expect: (offer) => deposits.expect(offer),
    deposit(offer) {
      const { end, lifetimeMs } = deposits.put(offer);
      return { deposit: new Handle(end), lifetimeMs };
    },
    withdraw: (claim) => deposits.take(claim) as Promise<RpcStub<RpcTarget>>,
    cancel: (claim) => deposits.cancel(claim),
  } satisfies HomePort;
  return {
    name,
    instance: newInstanceId(),
    main(contract, implementation, peer) {
      const env = { peer, clock, home: { ...port, ...leases?.join() }, onFault };
      return expose(withHomeMethods(erased(contract)), implementation as Implementation<RpcTarget>, env);
    },
    counts: () => deposits.counts(),
    recall: () => leases?.recall() ?? Promise.resolve(),
  };
}

const nonce = arg("nonce", Type.String({ pattern: "^[A-Za-z0-9_-]{24}$" }));
const serviceName = (name: string) => arg(name, Type.String({ pattern: "^[a-z][a-z0-9-]{0,63}$" }));

/**
 * The contract of `base` with the right to introduce. A method that returns it grants that right with the capability;
 * a method that returns `base` alone does not.
 */
export function introducible<I extends RpcTarget>(base: Contract<I>): Contract<I & Introducible> {
  return derive(introducibles, erased(base), {
    deposit: {
      params: [
        nonce,
        serviceName("recipient"),
        arg("lifetimeMs", Type.Integer({ minimum: 1, maximum: introductionMsMax })),
      ],
      builtIn({ contract, implementation, env }: BuiltInCall, nonce: string, recipient: string, lifetimeMs: number) {
        const offer: DepositOffer = {
          nonce,
          recipient,
          lifetimeMs,
          gifter: env.peer,
          endsAtMs: endsAt(implementation),
          assertHolds: () => assertHolds(implementation, undefined, env.clock),
          exposeFor(peer, lent) {
            const given = lent ? onlyWhile(contract, implementation, lent.whileHolds) : implementation;
            return expose(contract, given as Implementation<RpcTarget>, { ...env, peer, leases: lent?.leases });
          },
        };
        const home = homeOf(env);
        const hearer = hearerOf(implementation);
        return hearer ? depositOnceHeard(offer, { home, hearer, clock: env.clock }) : home.deposit(offer);
      },
    },
  }) as unknown as Contract<I & Introducible>;
}

/** The implementation, or what it stands for, if it hears of deposits. */
function hearerOf(implementation: object): HearsOfDeposits | undefined {
  let hearer = implementation;
  for (let next = caretakerOf(hearer); next; next = caretakerOf(hearer)) hearer = next.target;
  return deposited in hearer ? (hearer as HearsOfDeposits) : undefined;
}

interface Hearing {
  readonly home: HomePort;
  readonly hearer: HearsOfDeposits;
  readonly clock: Clock;
}

async function depositOnceHeard(offer: DepositOffer, { home, hearer, clock }: Hearing): Promise<DepositReceipt> {
  using _expected = home.expect(offer);
  const { deadlineAtMs } = currentContext()!;
  const gifter = (offer.gifter as ServicePeer).name;
  await inTime(Promise.resolve(hearer[deposited]({ gifter, recipient: offer.recipient })), clock);
  // A receipt that nobody waits for any more would keep the deposit alive.
  if (clock.monotonicMs() >= deadlineAtMs) throw deadlineExceeded();
  // Authority may have ended meanwhile.
  offer.assertHolds();
  return home.deposit(offer);
}

function withHomeMethods(base: Contract<RpcTarget>): Contract<RpcTarget> {
  return derive(mains, base, {
    withdraw: {
      params: [nonce, serviceName("gifter"), optional(arg("asLoan", Type.Boolean()))],
      builtIn: ({ env }: BuiltInCall, nonce: string, gifter: string, asLoan = false) =>
        homeOf(env).withdraw({ nonce, gifter, asLoan, peer: env.peer, leases: homeOf(env).leases }),
    },
    takeLeases: {
      params: [callback<LeaseHolder>("holder")],
      builtIn: ({ env }: BuiltInCall, holder: RpcStub<LeaseHolder>) => {
        asService(env.peer);
        const home = homeOf(env);
        if (!home.takeLeases) throw new FlotillaError("unimplemented", "Nothing is leased from here");
        return home.takeLeases(holder);
      },
    },
    cancelDeposit: {
      params: [nonce, serviceName("recipient")],
      builtIn: ({ env }: BuiltInCall, nonce: string, recipient: string) =>
        homeOf(env).cancel({ nonce, recipient, peer: env.peer }),
    },
  });
}

const introducibles = new WeakMap<Contract<RpcTarget>, Contract<RpcTarget>>();
const mains = new WeakMap<Contract<RpcTarget>, Contract<RpcTarget>>();

function erased<I>(contract: Contract<I>): Contract<RpcTarget> {
  return contract as unknown as Contract<RpcTarget>;
}

/** Made once per contract, so that the boundary's class is made once too. */
function derive(
  memo: WeakMap<Contract<RpcTarget>, Contract<RpcTarget>>,
  base: Contract<RpcTarget>,
  builtIns: Parameters<typeof withBuiltIns>[1],
): Contract<RpcTarget> {
  let derived = memo.get(base);
  if (!derived) {
    derived = withBuiltIns(base, builtIns);
    memo.set(base, derived);
  }
  return derived;
}

function homeOf(env: Env): HomePort {
  if (!env.home) throw refused("Nothing is introduced from here");
  return env.home;
}
