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
  /** Hears of faults inside implementations that no peer is told of, such as a disposer that throws. */
  readonly onFault?: ((fault: unknown) => void) | undefined;
}

export interface HomePort {
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
  /** The capability behind a boundary of its own for `peer`; with `whileHolds`, only as long as that refuses nothing. */
  exposeFor(peer: Peer, whileHolds?: Condition): RpcTarget & Disposable;
}

export interface WithdrawClaim {
  readonly nonce: string;
  /** Who, says the recipient, gave it the introduction: the authenticated peer of the session it arrived on. */
  readonly gifter: string;
  readonly peer: Peer;
  /** Whether what is withdrawn ends with the introduction. */
  readonly asLoan: boolean;
}

export interface CancelClaim {
  readonly nonce: string;
  readonly recipient: string;
  readonly peer: Peer;
}
