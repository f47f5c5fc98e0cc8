import type { Clock } from "../base/clock.ts";
import { withOwnDeadline } from "../base/context.ts";
import { anonymous } from "../base/peer.ts";
import { expose } from "../capability/boundary.ts";
import type { LeasedAnswer } from "../capability/leased.ts";
import type { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
import type { HomeMain } from "./home.ts";
import type { HomeLink } from "./introduce.ts";
import { LeaseHolderContract, leaseMsMax } from "./leases.ts";

/** A standing answer that is kept, and until when. */
interface Kept {
  readonly answer: unknown;
  /** How often the home had taken everything back when it was asked for. */
  readonly recalls: number;
  readonly forMs: number;
  /** When it was asked for, by both clocks. */
  readonly askedMonotonicMs: number;
  readonly askedAtMs: number;
}

/** Questions of which a loan keeps the answers. Each takes about 200 B. */
const answersMax = 64;

/** The answers of one loan. Disposing it lets go of them. */
export interface LoanAnswers extends Disposable {
  /** The answer of a standing method: the one that is kept, while that counts, or else what the home says now. */
  ask(method: string, args: readonly unknown[]): Promise<unknown>;
}

/** The recipient's side of leases, for one session with a home. It ends with the last loan that it was opened for. */
export interface Lessee {
  readonly sessionNumber: number;
  /** Borrows `loan`. */
  open(loan: RpcStub<RpcTarget>): LoanAnswers;
}

/** Takes leases from the home at `from`. Where the home gives none, every question is asked. */
export function makeLessee(from: HomeLink, clock: Clock, onEnd: () => void = () => {}): Lessee {
  const { sessionNumber, instance } = from;
  const opened = new Set<Map<string, Kept>>();
  let recalls = 0;
  let state: "asking" | "taken" | "over" = "asking";
  const recall = () => {
    recalls += 1;
  };
  const taking = takeLeases(from, clock, recall);
  taking.then(
    () => {
      if (state === "asking") state = "taken";
    },
    () => {},
  );

  return {
    sessionNumber,
    open(loan) {
      const kept = new Map<string, Kept>();
      opened.add(kept);
      return {
        ask: (method, args) => answer(loan, kept, method, args),
        [Symbol.dispose]() {
          kept.clear();
          if (opened.delete(kept) && opened.size === 0) end();
        },
      };
    },
  };

  async function answer(
    loan: RpcStub<RpcTarget>,
    kept: Map<string, Kept>,
    method: string,
    args: readonly unknown[],
  ): Promise<unknown> {
    const key = args.every(isExact) ? JSON.stringify([method, ...args]) : undefined;
    const found = key === undefined ? undefined : kept.get(key);
    if (found && counts(found)) return found.answer;
    if (state !== "taken" || key === undefined) return await askOf(loan, method, args);
    const asked = { recalls, askedMonotonicMs: clock.monotonicMs(), askedAtMs: clock.now() };
    const { answer, forMs } = (await askOf(loan, "askLeased", [method, args])) as LeasedAnswer;
    // An object could be changed by its user.
    if (forMs > 0 && !isObject(answer)) keep(kept, key, { ...asked, answer, forMs: Math.min(forMs, leaseMsMax) });
    return answer;
  }

  function end(): void {
    state = "over";
    taking[Symbol.dispose]();
    onEnd();
  }

  /**
   * SECURITY: in doubt it does not. Nothing counts when the session is over, since nobody could take it back; and the wall
   * clock is asked too, because the other one stands still while a machine sleeps.
   */
  function counts(kept: Kept): boolean {
    if (state === "over" || kept.recalls !== recalls) return false;
    if (from.instance !== instance || from.sessionNumber !== sessionNumber) return false;
    const passedMs = clock.now() - kept.askedAtMs;
    return clock.monotonicMs() - kept.askedMonotonicMs < kept.forMs && passedMs >= 0 && passedMs < kept.forMs;
  }
}

/** @param recall takes back all that the home has vouched for. */
function takeLeases(from: HomeLink, clock: Clock, recall: () => void): RpcPromise<RpcTarget> {
  const holder = expose(LeaseHolderContract, { recall }, { peer: anonymous, clock });
  const home = from.main as unknown as RpcStub<HomeMain>;
  return withOwnDeadline(() => home.takeLeases(holder as never), clock) as RpcPromise<RpcTarget>;
}

/** Two that are written the same are the same. */
function isExact(arg: unknown): boolean {
  return typeof arg === "string" || typeof arg === "boolean" || (Number.isSafeInteger(arg) && !Object.is(arg, -0));
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function keep(kept: Map<string, Kept>, key: string, answer: Kept): void {
  if (kept.size >= answersMax) kept.clear();
  kept.set(key, answer);
}

/** Calls `method` of a capability whose interface is not known here. */
export function askOf(loan: RpcStub<RpcTarget>, method: string, args: readonly unknown[]): PromiseLike<unknown> {
  return (loan as unknown as Record<string, (...args: unknown[]) => PromiseLike<unknown>>)[method]!(...args);
}
