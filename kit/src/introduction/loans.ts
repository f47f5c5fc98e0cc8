import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { withOwnDeadline } from "../base/context.ts";
import { FlotillaError, hasCode, reasonOf, withoutStack } from "../base/errors.ts";
import type { MethodName } from "../capability/contract.ts";
import { stoppingReason } from "../rpc/stopping.ts";
import type { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
import { gifterAt, type HomeLink, type Homes, homeOf, type Withdrawal, withdraw } from "./introduce.ts";
import type { Introduction } from "./introduction.ts";
import { askOf, type Lessee, type LoanAnswers, makeLessee } from "./lessee.ts";

/** What `makeLoans` takes. */
export interface LoansOptions {
  /** The home of what is introduced. */
  readonly from: Homes;
  readonly clock?: Clock;
  /** Kept at once; above it the one that was not used longest is given back. Default 10,000. */
  readonly entriesMax?: number;
  /** What nobody used for so long is given back. Milliseconds, default 10 s. */
  readonly idleMs?: number;
  /** Keeps standing answers for as long as their home vouches for them. Default: each question is asked. */
  readonly leases?: boolean;
}

/** What was lent to a recipient, until the use it was lent for is over. */
export interface Loan<T extends RpcTarget> {
  /** The capability itself, hosted at its home. Borrowed: neither disposed nor kept. */
  readonly capability: RpcStub<T>;
  /**
   * The answer of a method without parameters that always answers the same, such as an id: asked once for as long as the
   * loan is kept. It says who somebody is, never that they may do something.
   */
  constant<M extends ConstantMethod<T>>(method: M): Promise<Answer<T, M>>;
  /**
   * The answer of a method that its contract marks as `standing`. With leases, the one that was had before, for as long as the
   * home vouches for it: a change that has been answered is never overlooked. Any other method is asked each time.
   */
  standing<M extends MethodName<T>>(method: M, ...args: ArgsOf<T, M>): Promise<Answer<T, M>>;
}

type ConstantMethod<T> = { [M in MethodName<T>]: T[M] extends () => unknown ? M : never }[MethodName<T>];
type Answer<T, M extends keyof T> = T[M] extends (...args: never[]) => infer R ? Awaited<R> : never;
type ArgsOf<T, M extends keyof T> = T[M] extends (...args: infer A) => unknown ? A : never;

/**
 * The recipient's side of introductions that are used again and again: each is withdrawn once, and kept for as long as
 * it is used, so that a call costs the questions it asks and nothing else.
 *
 * What is kept is a loan: the home refuses every call of it from the moment the introduction ends (its gifter disposed
 * it, its time ran out) or the capability does, exactly as it would refuse to have it withdrawn anew.
 */
export interface Loans extends Disposable {
  /**
   * Runs `use` with what `introduction` introduces. Whatever error comes of it, the loan is given back, and the next use
   * asks the home anew.
   *
   * @throws FlotillaError what `accept` throws and what its promise rejects with, and what `use` throws; `unavailable` with
   *   reason `home_unreachable` in place of an `unavailable` of `use` when the home is stopping, or was lost meanwhile.
   *   So that the gifter can introduce anew, at another instance, `use` asks first and changes nothing before.
   */
  with<T extends RpcTarget, R>(introduction: Introduction<T>, use: (loan: Loan<T>) => PromiseLike<R>): Promise<R>;
  readonly size: number;
}

interface Entry {
  readonly promise: RpcPromise<RpcTarget>;
  readonly answers: LoanAnswers | undefined;
  readonly loan: Loan<RpcTarget>;
  /** The session it hangs on. */
  readonly from: HomeLink;
  readonly sessionNumber: number;
  usedAtMs: number;
  uses: number;
}

const entriesMaxDefault = 10_000;
const idleMsDefault = 10_000;

/** Withdraws from the one home `from`, which it borrows. Disposing it gives back all that it keeps. */
export function makeLoans(options: LoansOptions): Loans {
  const { from, clock = systemClock, entriesMax = entriesMaxDefault, idleMs = idleMsDefault } = options;
  /** By gifter and nonce, the most recently used last. */
  const kept = new Map<string, Entry>();
  let cancelSweep: Cancel | undefined;
  /** By the link to a run of the home. Each ends with the last of its loans. */
  const lessees = new Map<HomeLink, Lessee>();

  return {
    with: useOf as Loans["with"],
    get size() {
      return kept.size;
    },
    [Symbol.dispose]() {
      cancelSweep?.();
      for (const key of [...kept.keys()]) drop(key);
    },
  };

  function answersOf(loan: RpcStub<RpcTarget>, home: HomeLink): LoanAnswers | undefined {
    if (!options.leases) return undefined;
    let lessee = lessees.get(home);
    if (lessee?.sessionNumber !== home.sessionNumber) {
      const made = makeLessee(home, clock, () => {
        if (lessees.get(home) === made) lessees.delete(home);
      });
      lessees.set(home, made);
      lessee = made;
    }
    return lessee.open(loan);
  }

  async function useOf<R>(
    introduction: Introduction<RpcTarget>,
    use: (loan: Loan<RpcTarget>) => PromiseLike<R>,
  ): Promise<R> {
    // SECURITY: by gifter too, as the home goes by it: who has come by another's introduction gets nothing of it here.
    const gifter = gifterAt(from, introduction);
    const key = `${gifter} ${introduction.introduction}`;
    const home = from.at(introduction.instance) ?? (await homeOf(introduction, from));
    const entry = reusable(key, home) ?? borrow(key, introduction, { from: home, gifter, asLoan: true });
    entry.uses += 1;
    try {
      return await use(entry.loan);
    } catch (error) {
      if (kept.get(key) === entry) drop(key);
      throw isHomeLost(entry, introduction, error) ? homeLost(from.name, error) : error;
    } finally {
      entry.uses -= 1;
      entry.usedAtMs = clock.monotonicMs();
      giveBackUnused(key, entry);
    }
  }

  function reusable(key: string, home: HomeLink): Entry | undefined {
    const entry = kept.get(key);
    if (!entry) return undefined;
    kept.delete(key);
    if (entry.from === home && entry.sessionNumber === home.sessionNumber) {
      kept.set(key, entry);
      return entry;
    }
    // The session it hung on is over; what it was lent on is gone.
    giveBackUnused(key, entry);
    return undefined;
  }

  function borrow(key: string, introduction: Introduction<RpcTarget>, withdrawal: Withdrawal): Entry {
    const { from } = withdrawal;
    const promise = withOwnDeadline(() => withdraw(introduction, withdrawal), clock);
    const answers = answersOf(promise as unknown as RpcStub<RpcTarget>, from);
    const entry: Entry = {
      promise,
      answers,
      loan: makeLoan(promise, answers, clock),
      from,
      sessionNumber: from.sessionNumber,
      usedAtMs: clock.monotonicMs(),
      uses: 0,
    };
    // Whoever uses it hears of a refusal; it is asked for here, so that calls go to the capability itself from then on.
    promise.then(
      () => {},
      () => {
        if (kept.get(key) === entry) drop(key);
      },
    );
    kept.set(key, entry);
    if (kept.size > entriesMax) drop(kept.keys().next().value!);
    cancelSweep ??= clock.after(idleMs, sweep);
    return entry;
  }

  function sweep(): void {
    const nowMs = clock.monotonicMs();
    let waitMs = idleMs;
    for (const [key, { usedAtMs, uses }] of kept) {
      if (uses > 0) continue;
      const leftMs = usedAtMs + idleMs - nowMs;
      if (leftMs <= 0) drop(key);
      else waitMs = Math.min(waitMs, leftMs);
    }
    cancelSweep = kept.size > 0 ? clock.after(waitMs, sweep) : undefined;
  }

  function drop(key: string): void {
    const entry = kept.get(key);
    kept.delete(key);
    if (entry) giveBackUnused(key, entry);
  }

  /** What is kept, or still in use, stays. */
  function giveBackUnused(key: string, entry: Entry): void {
    if (entry.uses > 0 || kept.get(key) === entry) return;
    entry.promise[Symbol.dispose]();
    entry.answers?.[Symbol.dispose]();
  }
}

/** What was lent is gone, whatever became of the question: the session it hung on is over, or takes no questions. */
function isHomeLost({ from, sessionNumber }: Entry, { instance }: Introduction<RpcTarget>, error: unknown): boolean {
  if (!hasCode(error, "unavailable")) return false;
  const isOver = from.instance !== instance || from.sessionNumber !== sessionNumber;
  return isOver || reasonOf(error) === stoppingReason;
}

function homeLost(name: string, cause: unknown): FlotillaError {
  const message = `${name} cannot be asked at the instance that the introduction names`;
  return withoutStack(() => new FlotillaError("unavailable", message, { reason: "home_unreachable", cause }));
}

/** Others will use it and its answers too, so both have time of their own, and not what the first caller has left. */
function makeLoan(promise: RpcPromise<RpcTarget>, kept: LoanAnswers | undefined, clock: Clock): Loan<RpcTarget> {
  const capability = promise as unknown as RpcStub<RpcTarget>;
  const answers = new Map<string, Promise<unknown>>();
  return {
    capability,
    constant(method: string) {
      let answer = answers.get(method);
      if (!answer) {
        answer = withOwnDeadline(async () => await askOf(capability, method, []), clock);
        // A failed answer is not kept: whoever hears of it gives the loan back.
        answer.catch(() => {});
        answers.set(method, answer);
      }
      return answer as Promise<never>;
    },
    async standing(method: string, ...args: unknown[]) {
      return (await (kept ? kept.ask(method, args) : askOf(capability, method, args))) as never;
    },
  };
}
