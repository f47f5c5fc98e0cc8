import { hash } from "node:crypto";
import { type Clock, hasCode } from "@flotilla/kit";
import { canonicalUsername } from "../contracts/users.ts";
import { type Limiter, LimitReached, makeLimiter, makeNested, refusalIn } from "./limiter.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** In which failures are counted. OWASP ASVS 5 (6.3.1) wants guessing to be hopeless and leaves the numbers open. */
const windowMs = 15 * minuteMs;
/** Of a network's failures, those with one account. By default ten: who has forgotten a password tries about five. */
const pairShare = 0.1;
/** The wait after that; each further time twice as long. With these, one network tries 100 passwords a day. */
const firstWaitMs = 15 * minuteMs;
const waitMsMax = 4 * hourMs;
/** Failures with one account from networks it is not known from, before further attempts from such are slowed. */
const accountFailuresMax = 30;
/** For each ten more, one second. Well below the 10 s that a call has, so that the right password gets through. */
const slowMsStep = 1_000;
const slowMsMax = 5_000;
/** Slowed attempts at once: 2 KB each. */
const slowedMax = 5_000;
/** How long a network is known for an account that logged in from it. */
const knownMs = 30 * dayMs;
/** Accounts with a network, accounts, networks: each table has so many entries, 20 MB. */
const entriesMaxDefault = 100_000;

export interface LoginLimits {
  /**
   * Runs `login`, unless too many failed before it: with that account from that network, or from that network. When many
   * failed with the account from networks that it is not known from, one more of those waits before it is run, and is
   * not refused (but when thousands wait): nobody can lock out another from elsewhere. A success forgets the failures of its account and network.
   * Nothing depends on whether the account exists.
   *
   * @throws LimitReached reason `rate_limited`, and what `login` throws.
   */
  attempt<R>(at: Attempt, login: () => PromiseLike<R>): Promise<R>;
}

export interface Attempt {
  readonly username: string;
  readonly network: string;
}

export interface LoginLimitsOptions {
  readonly clock: Clock;
  /** Failures from one network, whatever the accounts, in 15 minutes; with one account, a tenth. */
  readonly networkLogins: number;
  readonly entriesMax?: number;
}

export function makeLoginLimits(options: LoginLimitsOptions): LoginLimits {
  const { clock, networkLogins, entriesMax = entriesMaxDefault } = options;
  const limiter = (points: number, ms: number) => makeLimiter({ clock, points, windowMs: ms, entriesMax });
  const pairFailuresMax = Math.ceil(networkLogins * pairShare);
  const pairs = limiter(pairFailuresMax, windowMs);
  /** How often a pair went over, in a day. */
  const overruns = limiter(1, dayMs);
  const networks = makeNetworkFailures((times) => limiter(networkLogins * times, windowMs));
  const accounts = limiter(accountFailuresMax, windowMs);
  const known = limiter(1, knownMs);
  let slowed = 0;

  return {
    async attempt({ username, network }, login) {
      const account = accountKey(username);
      const pair = [account, network].join(" ");
      // Counted before its outcome is known: of a thousand at once ten are tried. A success is given back.
      await networks.consume(network).catch(async (thrown) => {
        throw tooMany(refusalIn(thrown).msBeforeNext);
      });
      await pairs.consume(pair).catch(async (thrown) => {
        const { consumedPoints, msBeforeNext } = refusalIn(thrown);
        await networks.reward(network);
        throw tooMany(consumedPoints === pairFailuresMax + 1 ? await block(pair) : msBeforeNext);
      });
      const isKnown = (await known.get(pair)) !== null;
      const giveBack = async () => {
        await Promise.all([networks.reward(network), ...(isKnown ? [] : [accounts.reward(account)])]);
      };
      const failures = isKnown ? 0 : (await accounts.penalty(account)).consumedPoints;
      try {
        await slowDown(failures);
        const answer = await login();
        await Promise.all([giveBack(), pairs.delete(pair), overruns.delete(pair)]);
        await known.set(pair, 1, knownMs / 1_000);
        return answer;
      } catch (error) {
        if (wasNotTried(error)) await Promise.all([giveBack(), pairs.reward(pair)]);
        throw error;
      }
    },
  };

  /** The wait grows with each time that the pair goes over. @returns it. Milliseconds. */
  async function block(pair: string): Promise<number> {
    const { consumedPoints: times } = await overruns.penalty(pair);
    const waitMs = Math.min(waitMsMax, firstWaitMs * 2 ** (times - 1));
    await pairs.block(pair, waitMs / 1_000);
    return waitMs;
  }

  async function slowDown(failures: number): Promise<void> {
    const ms = Math.min(slowMsMax, Math.ceil((failures - accountFailuresMax) / 10) * slowMsStep);
    if (ms <= 0) return;
    if (slowed >= slowedMax) throw tooMany(slowMsMax);
    slowed += 1;
    await new Promise<void>((resolve) => clock.after(ms, resolve));
    slowed -= 1;
  }
}

interface NetworkFailures {
  /** Counts one in each network, or in those only that refuse it. Rejects as `Limiter.consume` does. */
  consume(network: string): Promise<void>;
  reward(network: string): Promise<void>;
}

/** Counts a network together with the wider networks around one of IPv6. */
function makeNetworkFailures(make: (times: number) => Limiter): NetworkFailures {
  const countersOf = makeNested(make);
  return {
    async consume(network) {
      const counters = countersOf(network);
      const outcomes = await Promise.allSettled(counters.map(({ counter, name }) => counter.consume(name)));
      const refused = outcomes.find((outcome) => outcome.status === "rejected");
      if (!refused) return;
      const counted = counters.filter((_, index) => outcomes[index]?.status === "fulfilled");
      await Promise.all(counted.map(({ counter, name }) => counter.reward(name)));
      throw refused.reason;
    },
    async reward(network) {
      await Promise.all(countersOf(network).map(({ counter, name }) => counter.reward(name)));
    },
  };
}

/** Not a word about the password: nobody looked at it, or it was right, and something else was not. */
const notOfThePassword = ["unavailable", "resource_exhausted", "invalid_argument", "permission_denied"] as const;

function wasNotTried(error: unknown): boolean {
  return notOfThePassword.some((code) => hasCode(error, code));
}

function tooMany(waitMs: number): LimitReached {
  return new LimitReached("Too many logins have failed; try again later", { reason: "rate_limited", waitMs });
}

/** By the spelling that is looked up, so that no other has attempts of its own. */
function accountKey(username: string): string {
  return hash("sha256", canonicalUsername(username), "base64url");
}
