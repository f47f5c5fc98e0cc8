import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { withOwnDeadline } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { newNonce } from "../base/ids.ts";
import { introductionMsDefault } from "../base/limits.ts";
import type { Connection } from "../client/connection.ts";
import { RpcPromise, type RpcStub, type RpcTarget } from "../rpc/stub.ts";
import type { HomeMain, Introducible } from "./home.ts";
import { gifterOf, type Introduction, refused } from "./introduction.ts";

/** Something that reaches a home: a `Connection`, or in a test a session over memory. */
export interface HomeLink
  extends Homes,
    Pick<Connection<RpcTarget>, "instance" | "main" | "sessionNumber">,
    Partial<Pick<Connection<RpcTarget>, "isLeaving">> {}

/** All that reaches a home, whichever of its runs: a link to one, or the links to all its instances. */
export interface Homes {
  readonly name: string;
  readonly isAnonymous: boolean;
  opened(): Promise<void>;
  /** The link to that run, if there is one now. */
  at(instance: string): HomeLink | undefined;
}

/** A capability of type `T` that may be introduced, or the promise of one that nobody waited for. */
export type Gift<T extends RpcTarget> = RpcPromise<T & Introducible> | RpcStub<T & Introducible>;

/** From where a capability is introduced, to whom, and for how long. */
export interface IntroduceOptions {
  /** The link to the capability's home. */
  readonly from: HomeLink;
  /** The name of the service that may withdraw it. */
  readonly to: string;
  /** Milliseconds after which the home ends it by itself. Default 15 minutes, at most 24 hours. */
  readonly lifetimeMs?: number;
  /** Called once when the introduction is over: refused, run out, or disposed. */
  onEnd?(): void;
  readonly clock?: Clock;
}

/** Milliseconds: more than an answer is on its way, less than anybody misses. */
const expiryMarginMsMax = 10_000;

/** The gifter's side of an introduction. Disposing it ends it: no new withdrawal, but what was withdrawn stays. */
export interface Gifted<T extends RpcTarget> extends Disposable {
  /** To be sent to the recipient, as often as wanted. */
  readonly value: Introduction<T>;
  /**
   * Whether it may still be good: it was not ended, and the session on which it was deposited is still open, and not about
   * to end.
   */
  readonly isLive: boolean;
  /** Whether the home has taken the deposit. */
  readonly isDeposited: boolean;
  /** Resolves when the home has taken the deposit; rejects with its error when it refuses. */
  deposited(): Promise<void>;
  /**
   * The answer to a call that carries this introduction. If the home refuses the deposit (the token was bad, say), its
   * error instead, without waiting for the recipient to find out.
   */
  answer<R>(call: PromiseLike<R>): Promise<R>;
}

/**
 * Introduces `capability` to another service, without waiting for anything: the deposit at the home and the call that
 * carries `value` leave in the same turn, and a withdrawal that overtakes its deposit is parked there. After Cap'n
 * Proto's three-party handoff. Borrows `capability` (a promise of it may be disposed as soon as this returns).
 *
 * @throws FlotillaError `unavailable` when `from` is not connected: an introduction names the run of its home.
 *   `failed_precondition`, reason `anonymous_connection`, when `from` was made without `as`.
 */
export function introduce<T extends RpcTarget>(capability: Gift<T>, options: IntroduceOptions): Gifted<T> {
  const { from, to, lifetimeMs = introductionMsDefault, clock = systemClock } = options;
  assertProven(from, "introduced");
  const { instance, sessionNumber } = from;
  if (instance === undefined) throw new FlotillaError("unavailable", `${from.name} is not connected`);
  const nonce = newNonce();
  const giver = capability as unknown as RpcStub<Introducible>;
  const deposit = giver.deposit(nonce, to, Math.max(1, Math.floor(lifetimeMs)));

  const decision = new Decision();
  let isOver = false;
  let cancelExpiry: Cancel = () => {};
  deposit.then(onDeposited, onRefused);

  return {
    value: { introduction: nonce, home: from.name, instance },
    get isLive() {
      return !isOver && !from.isLeaving && from.instance === instance && from.sessionNumber === sessionNumber;
    },
    get isDeposited() {
      return decision.isTaken;
    },
    answer: (call) => decision.answer(call),
    deposited: () => decision.answer(decision.taken),
    [Symbol.dispose]: end,
  };

  function onDeposited(receipt: { readonly lifetimeMs: number }): void {
    decision.take();
    // Sooner than at the home, where it runs since before this answer was on its way.
    const ownMs = receipt.lifetimeMs - Math.min(expiryMarginMsMax, receipt.lifetimeMs / 10);
    if (!isOver) cancelExpiry = clock.after(ownMs, end);
  }

  function onRefused(thrown: unknown): void {
    // The recipient may wait at the home for what will never come: let it know now.
    const cancel = () => (from.main as unknown as RpcStub<HomeMain>).cancelDeposit(nonce, to);
    withOwnDeadline(cancel, clock).catch(() => {});
    // Ended by us before the home had answered: that the stub was disposed is not what its caller asks.
    decision.refuse(isOver ? refused("The introduction was ended") : thrown);
    end();
  }

  function end(): void {
    if (isOver) return;
    isOver = true;
    cancelExpiry();
    deposit[Symbol.dispose]();
    options.onEnd?.();
  }
}

/** Whether the home takes a deposit. */
class Decision {
  /** Rejects the answers that are waited for while nobody knows yet. */
  readonly #undecided = new Set<(reason: unknown) => void>();
  readonly #taking = Promise.withResolvers<void>();
  #refusal: { readonly reason: unknown } | undefined;
  #isTaken = false;

  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Resolves when it does. */
  get taken(): Promise<void> {
    return this.#taking.promise;
  }

  take(): void {
    this.#isTaken = true;
    this.#undecided.clear();
    this.#taking.resolve();
  }

  refuse(reason: unknown): void {
    this.#refusal = { reason };
    for (const reject of this.#undecided) reject(reason);
    this.#undecided.clear();
  }

  /** The answer of `call`, or why the home does not take the deposit, without waiting for the recipient to find out. */
  async answer<R>(call: PromiseLike<R>): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    if (this.#refusal) reject(this.#refusal.reason);
    else if (!this.#isTaken) this.#undecided.add(reject);
    call.then(resolve, reject);
    try {
      return await promise;
    } finally {
      this.#undecided.delete(reject);
    }
  }
}

/**
 * Withdraws what `introduction` introduces, over this service's own link to the home: so it is hosted there, whatever
 * the gifter says, and later calls go straight. The caller owns the promise: `using buyer = accept(user, { from: users })`.
 *
 * @throws FlotillaError `permission_denied` for anything the boundary did not make (parameters are declared with
 *   `introductionTo`), or when it names another home than `from`; `failed_precondition`, reason `anonymous_connection`,
 *   when `from` was made without `as`. The promise rejects with `permission_denied`, reason `introduction_refused`, when
 *   the home refuses, and with `unavailable` when it is away or was restarted since.
 */
export function accept<T extends RpcTarget>(introduction: Introduction<T>, { from }: { from: Homes }): RpcPromise<T> {
  const gifter = gifterAt(from, introduction);
  const take = (home: HomeLink) => withdraw(introduction, { from: home, gifter, asLoan: false });
  const home = from.at(introduction.instance);
  if (home) return take(home);
  return new RpcPromise<RpcTarget>(
    homeOf(introduction, from).then(take) as unknown as Promise<RpcTarget>,
  ) as unknown as RpcPromise<T>;
}

/**
 * The link to the run of the home that `introduction` names; waits for the first session of all.
 * @throws FlotillaError `unavailable` when that run is out of reach, with reason `home_restarted` when another is not.
 */
export async function homeOf({ instance }: Introduction<RpcTarget>, homes: Homes): Promise<HomeLink> {
  const known = homes.at(instance);
  if (known) return known;
  await homes.opened();
  const home = homes.at(instance);
  if (home) return home;
  throw new FlotillaError("unavailable", `${homes.name} was restarted since`, { reason: "home_restarted" });
}

/**
 * The name of who introduced, when the home at `from` can be asked about it.
 * @throws FlotillaError as `accept` does.
 */
export function gifterAt(from: Homes, introduction: Introduction<RpcTarget>): string {
  const gifter = gifterOf(introduction);
  if (!gifter || introduction.home !== from.name) throw refused();
  assertProven(from, "accepted");
  return gifter.name;
}

export interface Withdrawal {
  readonly from: HomeLink;
  readonly gifter: string;
  readonly asLoan: boolean;
}

/** From the home at `from`, the run that `introduction` names. */
export function withdraw<T extends RpcTarget>(
  { introduction }: Introduction<T>,
  { from, gifter, asLoan }: Withdrawal,
): RpcPromise<T> {
  const home = from.main as unknown as RpcStub<HomeMain>;
  return home.withdraw(introduction, gifter, asLoan) as unknown as RpcPromise<T>;
}

/** A home takes nothing from, and gives nothing to, somebody who proves no name. */
function assertProven(
  { name, isAnonymous }: Pick<Homes, "name" | "isAnonymous">,
  what: "introduced" | "accepted",
): void {
  if (!isAnonymous) return;
  const message = `Nothing can be ${what} over an anonymous connection: connect to ${name} with \`as\``;
  throw new FlotillaError("failed_precondition", message, { reason: "anonymous_connection" });
}
