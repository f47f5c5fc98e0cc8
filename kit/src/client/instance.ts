import type { Clock } from "../base/clock.ts";
import { type Breaker, type BreakerState, makeBreaker } from "../resilience/breaker.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import type { Connection } from "./connection.ts";

/** How one instance is doing, for metrics and for people. */
export interface InstanceReport {
  readonly name: string;
  readonly url: string;
  /** Its run; undefined while it is away, and on anonymous connections. */
  readonly instance: string | undefined;
  readonly isOpen: boolean;
  /** Why it cannot be reached, in words; undefined while it can, and before anybody tried. */
  readonly away: string | undefined;
  /** It is stopping, or the directory names it no more. */
  readonly isLeaving: boolean;
  /** Calls that nobody has answered. */
  readonly underWay: number;
  /**
   * For how long it has been away, or has answered none of the calls that are under way; 0 while it answers, or has
   * nothing to answer. Milliseconds.
   */
  readonly silentMs: number;
  /** Calls that failed so that they count for its breakers, since it was first known. */
  readonly failures: number;
  /** Calls that it was sent although they had been sent before, there or elsewhere. */
  readonly repeated: number;
  /** Calls that it was not sent, because it refused many for overload. */
  readonly withheld: number;
  /** By group of calls. */
  readonly breakers: Readonly<Record<string, BreakerState>>;
}

/** One instance of a service, at one address. */
export interface Member<T extends RpcTarget> {
  readonly url: string;
  readonly connection: Connection<T>;
  /** Calls that nobody has answered. */
  readonly underWay: number;
  /** As of `InstanceReport`. */
  readonly silentMs: number;
  /** It has said, or shown, that it is stopping. */
  readonly isLeaving: boolean;
  /** Calls that failed so that they count for its breakers. */
  readonly failures: number;
  /** Calls that it was sent although they had been sent before. */
  readonly repeated: number;
  breakerOf(group: string): Breaker;
  breakers(): Record<string, BreakerState>;
  /** It has refused a call because it is stopping. */
  refused(): void;
  /** A call has begun, which is under way until `answer` is there. @returns `answer`. */
  awaits<R>(answer: PromiseLike<R>): PromiseLike<R>;
  /** It has answered a call, if only with a refusal of its own. */
  answered(): void;
  failed(): void;
  sentAgain(): void;
  /** Resolves when no call is under way. */
  idle(): Promise<void>;
}

/** @param open connects; is told what resolves when no call is under way there. */
export function makeMember<T extends RpcTarget>(
  url: string,
  clock: Clock,
  open: (idle: () => Promise<void>) => Connection<T>,
): Member<T> {
  let underWay = 0;
  let silentSinceMs = 0;
  let failures = 0;
  let repeated = 0;
  let onIdle: (() => void)[] = [];
  const idle = () => (underWay === 0 ? Promise.resolve() : new Promise<void>((resolve) => void onIdle.push(resolve)));
  const connection = open(idle);
  const known = new KnownOfSession(connection, clock);

  return {
    url,
    connection,
    get underWay() {
      return underWay;
    },
    get silentMs() {
      if (!connection.isOpen) return connection.awayMs;
      return underWay === 0 ? 0 : clock.monotonicMs() - silentSinceMs;
    },
    get isLeaving() {
      return known.now().hasRefused || connection.isLeaving;
    },
    get failures() {
      return failures;
    },
    get repeated() {
      return repeated;
    },
    breakerOf: (group) => known.now().breakerOf(group),
    breakers: () => known.now().breakers(),
    refused() {
      known.hasRefused = true;
    },
    awaits(answer) {
      if (underWay === 0) answered();
      underWay += 1;
      answer.then(() => {
        leave();
        answered();
      }, leave);
      return answer;
    },
    answered,
    failed() {
      failures += 1;
    },
    sentAgain() {
      repeated += 1;
    },
    idle,
  };

  function answered(): void {
    silentSinceMs = clock.monotonicMs();
  }

  function leave(): void {
    underWay -= 1;
    if (underWay > 0) return;
    for (const tell of onIdle) tell();
    onIdle = [];
  }
}

/** Knowledge about an instance that counts for one session. */
class KnownOfSession {
  hasRefused = false;
  readonly #connection: { readonly sessionNumber: number };
  readonly #clock: Clock;
  readonly #breakers = new Map<string, Breaker>();
  #sessionNumber = 0;

  constructor(connection: { readonly sessionNumber: number }, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /** Itself, of the session that is open now. */
  now(): this {
    const { sessionNumber } = this.#connection;
    if (this.#sessionNumber !== sessionNumber) {
      this.#sessionNumber = sessionNumber;
      this.hasRefused = false;
      this.#breakers.clear();
    }
    return this;
  }

  breakerOf(group: string): Breaker {
    const known = this.#breakers.get(group);
    if (known) return known;
    const breaker = makeBreaker(this.#clock);
    this.#breakers.set(group, breaker);
    return breaker;
  }

  breakers(): Readonly<Record<string, BreakerState>> {
    return Object.fromEntries([...this.#breakers].map(([group, { state }]) => [group, state]));
  }
}
