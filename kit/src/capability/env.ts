import type { Clock } from "../base/clock.ts";
import type { Peer } from "../base/peer.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import type { Condition } from "./conditions.ts";

/** What a boundary knows beside its contract: for whom it was made, and where it can be deposited. */
export interface Env {
  readonly peer: Peer;
  readonly clock: Clock;
  /** Absent where nothing is introduced from. Implemented by introduction/home.ts, which this layer does not know. */
  readonly home?: HomePort | undefined;
  /** Set for a loan whose recipient takes leases: how long its standing answers count. */
  readonly leases?: LeasePort | undefined;
  /** Hears of faults inside implementations that no peer is told of, such as a disposer that throws. */
  readonly onFault?: ((fault: unknown) => void) | undefined;
}

/** The promises that a home has made to one session about its standing answers. Implemented by introduction/leases.ts. */
export interface LeasePort {
  /**
   * A standing answer will be given now. A change of what it says has to wait for the session from now on.
   * @returns whether the session takes leases.
   */
  begin(): boolean;
  /** For how many milliseconds from when it was asked for an answer of `implementation` counts; 0 for not at all. */
  lifetimeMs(implementation: object): number;
}

export interface HomePort {
  /** For one session; this and `takeLeases` are absent where nothing is leased. */
  readonly leases?: LeasePort;
  takeLeases?(holder: RpcStub<RpcTarget>): RpcTarget;
  /** Announces a deposit that is still to come; disposed without it, it comes no more. */
  expect(offer: DepositOffer): Disposable;
  deposit(offer: DepositOffer): { readonly deposit: RpcTarget; readonly lifetimeMs: number };
  withdraw(claim: WithdrawClaim): Promise<RpcStub<RpcTarget>>;
  cancel(claim: CancelClaim): void;
}

export interface DepositOffer {
  readonly nonce: string;
  /** The service that may withdraw it. */
  readonly recipient: string;
  readonly lifetimeMs: number;
  readonly gifter: Peer;
  /** When the capability itself ends, in milliseconds since the epoch, if it does. */
  readonly endsAtMs: number | undefined;
  /** Throws the refusal of the capability itself when it has ended: it was revoked, say. */
  assertHolds(): void;
  /** The capability behind a boundary of its own for `peer`; when it is lent, only as long as that refuses nothing. */
  exposeFor(peer: Peer, lent?: Lent): RpcTarget & Disposable;
}

/** How a capability is lent. */
export interface Lent {
  readonly whileHolds: Condition;
  readonly leases: LeasePort | undefined;
}

export interface WithdrawClaim {
  readonly nonce: string;
  /** Who, says the recipient, gave it the introduction: the authenticated peer of the session it arrived on. */
  readonly gifter: string;
  readonly peer: Peer;
  /** Whether what is withdrawn ends with the introduction. */
  readonly asLoan: boolean;
  /** Those of the session that asks. */
  readonly leases?: LeasePort | undefined;
}

export interface CancelClaim {
  readonly nonce: string;
  readonly recipient: string;
  readonly peer: Peer;
}
