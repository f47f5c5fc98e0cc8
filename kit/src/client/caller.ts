import { type Clock, pause } from "../base/clock.ts";
import { currentContext, inTime, withContext } from "../base/context.ts";
import { hasCode, reasonOf } from "../base/errors.ts";
import { type Backoff, backoffMs } from "../resilience/backoff.ts";
import { makeRetryBudget, type RetryBudget } from "../resilience/retry-budget.ts";
import { stoppingReason } from "../rpc/stopping.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { mayRepeat, moreTelling } from "./attempt.ts";
import { type Choice, choose } from "./choose.ts";
import type { Connection } from "./connection.ts";
import { isFailure, mayHelp } from "./failures.ts";
import type { Member } from "./instance.ts";
import type { Members } from "./members.ts";
import { unreachable } from "./unreachable.ts";

/** How one call of `Instances.call` may be treated. */
export interface CallOptions {
  /**
   * Whether the call may be sent again although nobody knows whether it was carried out: it only reads, or carries an
   * idempotency key. SECURITY: for the outermost caller alone; where each of three layers tries three times, the last is
   * asked 27 times.
   */
  readonly isRepeatable?: boolean;
  /**
   * For how long a repeatable call waits while no instance can be reached, or those that can are left alone because they
   * keep failing. Default: until its deadline. Milliseconds; 0 for who serves many, whose waiting calls would pile up.
   */
  readonly awayMsMax?: number;
  /** How often a repeatable call is sent at most. Default: until its deadline, or the end of the budget. */
  readonly attemptsMax?: number;
  /** A run that has turned out to be the wrong one: asked only if there is no other. */
  readonly except?: string | undefined;
  /**
   * Calls that fail together, such as those that write: while the calls of one group keep failing, those of others go
   * on. Default: one group for all calls that name none.
   */
  readonly group?: string;
}

/** Makes a call on the instance that was chosen for it. */
export type Use<T extends RpcTarget, R> = (main: RpcStub<T>, connection: Connection<T>) => PromiseLike<R>;

/** Between two attempts of a call that may be repeated. */
const backoff: Backoff = { minMs: 20, maxMs: 500, growth: 2 };

interface CallerOptions<T extends RpcTarget> {
  readonly name: string;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly members: Members<T>;
  /** As of `Instances`. */
  opened(): Promise<void>;
}

/** One call of `Instances.call`, and what became of it so far. */
interface OneCall<T extends RpcTarget, R> {
  readonly use: Use<T, R>;
  readonly options: CallOptions;
  /** At least once. */
  wasSent: boolean;
  /** It was sent since the budget of retries was asked. */
  isOwed: boolean;
}

/** Sends calls to the instances of a service: to which of them, and to which one or when again when that fails. */
export class Caller<T extends RpcTarget> {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #budget: RetryBudget;
  readonly #members: Members<T>;
  readonly #opened: () => Promise<void>;
  #isClosed = false;
  #repeated = 0;

  constructor({ name, clock, random, members, opened }: CallerOptions<T>) {
    this.#name = name;
    this.#clock = clock;
    this.#random = random;
    this.#budget = makeRetryBudget(clock);
    this.#members = members;
    this.#opened = opened;
  }

  /** Calls that were sent again. */
  get repeated(): number {
    return this.#repeated;
  }

  /** Calls that the budget of retries did not let be sent again. */
  get notRepeated(): number {
    return this.#budget.refused;
  }

  /** As of `Instances`. */
  call<R>(use: Use<T, R>, options: CallOptions): Promise<R> {
    const once: OneCall<T, R> = { use, options, wasSent: false, isOwed: false };
    const call = () => (options.isRepeatable ? this.#callAgain(once) : this.#begin(once));
    // One deadline for all that is waited for and tried.
    return currentContext() ? call() : withContext({}, call, this.#clock);
  }

  /** Nothing is sent again from now on. */
  close(): void {
    this.#isClosed = true;
  }

  choose(how: Omit<Choice<T>, "random">): Member<T> {
    this.#members.open();
    const chosen = choose(this.#members.current, { ...how, random: this.#random });
    if (!chosen) throw unreachable(this.#name, { text: "nobody says where it is", reason: "directory_unknown" });
    return chosen;
  }

  async #callAgain<R>(call: OneCall<T, R>): Promise<R> {
    const clock = this.#clock;
    const { attemptsMax = Number.POSITIVE_INFINITY, awayMsMax = Number.POSITIVE_INFINITY } = call.options;
    const limits = {
      attemptsMax,
      endsAtMs: currentContext()!.deadlineAtMs,
      awayUntilMs: clock.monotonicMs() + awayMsMax,
    };
    this.#budget.earn();
    let said: unknown;
    for (let number = 0; ; number += 1) {
      try {
        return await this.#begin(call);
      } catch (error) {
        said = moreTelling(said, error);
        const waitMs = backoffMs(number, backoff, this.#random);
        const nextAtMs = clock.monotonicMs() + waitMs;
        if (this.#isClosed || !mayRepeat(error, { ...limits, number, nextAtMs, hasOpen: this.#hasOpen() })) throw said;
        await pause(clock, waitMs);
        if (this.#isClosed) throw unreachable(this.#name, { text: "the connection was closed" });
        // One that is away costs nobody anything: only what is sent counts.
        if (!call.isOwed || !this.#hasOpen()) continue;
        if (!this.#budget.take()) throw said;
        call.isOwed = false;
      }
    }
  }

  #begin<R>(call: OneCall<T, R>): Promise<R> {
    if (this.#members.current.length === 1 || this.#hasOpen()) return this.#callOnce(call);
    // The first that opens, and not the one that chance would have wait for.
    return inTime(this.#opened(), this.#clock).then(
      () => this.#callOnce(call),
      (error: unknown) => {
        if (this.#members.current.length === 0 || !mayHelp(error)) throw error;
        return this.#callOnce(call);
      },
    );
  }

  /** Asks one instance, and another when the first did not begin the call. */
  async #callOnce<R>(call: OneCall<T, R>): Promise<R> {
    const { group = "", except } = call.options;
    let askedInVain: Set<Member<T>> | undefined;
    for (;;) {
      const member = this.choose({ group, askedInVain, except });
      const { isOpen, sessionNumber } = member.connection;
      try {
        return await this.#ask(member, call);
      } catch (error) {
        // No session was opened for it: nothing was sent.
        const isUnsent = !isOpen && member.connection.sessionNumber === sessionNumber && mayHelp(error);
        const isRefused = reasonOf(error) === stoppingReason;
        if (isRefused) member.refused();
        const asked = new Set(askedInVain).add(member);
        askedInVain = asked;
        const others = this.#members.current.filter((other) => !asked.has(other));
        if (!others.some(({ connection }) => isUnsent || (isRefused && connection.isOpen))) throw error;
      }
    }
  }

  #ask<R>(member: Member<T>, call: OneCall<T, R>): PromiseLike<R> {
    const { connection } = member;
    if (!connection.isOpen) return this.#askAway(member, call);
    const { sessionNumber } = connection;
    const send = () => {
      this.#note(call, member);
      return call.use(connection.main, connection);
    };
    const hasFailed = (error: unknown) => {
      if (!mayHelp(error) && !hasCode(error, "deadline_exceeded")) member.answered();
      // A session that ends is the connection's to mend, and tells nothing of the next one.
      if (!connection.isOpen || connection.sessionNumber !== sessionNumber || !isFailure(error)) return false;
      member.failed();
      return true;
    };
    const breaker = member.breakerOf(call.options.group ?? "");
    return member.awaits(breaker.run(send, { name: this.#name, isFailure: hasFailed }));
  }

  async #askAway<R>(member: Member<T>, call: OneCall<T, R>): Promise<R> {
    const { connection } = member;
    const { sessionNumber } = connection;
    try {
      return await call.use(connection.main, connection);
    } finally {
      if (connection.sessionNumber !== sessionNumber) this.#note(call, member);
    }
  }

  /** It is sent, or was. */
  #note(call: OneCall<T, unknown>, member: Member<T>): void {
    if (call.wasSent) {
      member.sentAgain();
      this.#repeated += 1;
    }
    call.wasSent = call.isOwed = true;
  }

  #hasOpen(): boolean {
    return this.#members.current.some(({ connection }) => connection.isOpen);
  }
}
