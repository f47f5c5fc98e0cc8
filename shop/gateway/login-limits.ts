import { hash } from "node:crypto";
import { type Clock, hasCode } from "@flotilla/kit";
import { canonicalUsername } from "../contracts/users.ts";
import { Limiter, LimitReached, makeNested } from "./limiter.ts";

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
  const limiter = (points: number, ms: number) => new Limiter({ clock, points, windowMs: ms, entriesMax });
  const pairFailuresMax = Math.ceil(networkLogins * pairShare);
  const pairs = limiter(pairFailuresMax, windowMs);
  /** How often a pair went over, in a day. */
  const overruns = limiter(1, dayMs);
  const networksAround = makeNested((times) => limiter(networkLogins * times, windowMs));
  const accounts = limiter(accountFailuresMax, windowMs);
  const known = limiter(1, knownMs);
  let slowed = 0;

  return {
    async attempt({ username, network }, login) {
      const account = accountKey(username);
      const pair = [account, network].join(" ");
      // Counted before its outcome is known: of a thousand at once ten are tried. A success is given back.
      const networks = networksAround(network);
      const waitMs = Math.max(...networks.map(({ counter, name }) => counter.waitMs(name)));
      if (waitMs > 0) throw tooMany(waitMs);
      assertPairMay(pair);
      for (const { counter, name } of networks) counter.add(name);
      pairs.add(pair);
      const isKnown = known.count(pair) > 0;
      const failures = isKnown ? 0 : accounts.add(account);
      const giveBack = () => {
        for (const { counter, name } of networks) counter.giveBack(name);
        if (!isKnown) accounts.giveBack(account);
      };
      try {
        await slowDown(failures);
        const answer = await login();
        giveBack();
        for (const counter of [pairs, overruns, known]) counter.forget(pair);
        known.add(pair);
        return answer;
      } catch (error) {
        if (wasNotTried(error)) {
          giveBack();
          pairs.giveBack(pair);
        }
        throw error;
      }
    },
  };

  /** The wait grows with each time that the pair goes over. */
  function assertPairMay(pair: string): void {
    const leftMs = pairs.waitMs(pair);
    if (leftMs === 0) return;
    if (pairs.count(pair) > pairFailuresMax) throw tooMany(leftMs);
    const waitMs = Math.min(waitMsMax, firstWaitMs * 2 ** (overruns.add(pair) - 1));
    pairs.block(pair, waitMs);
    throw tooMany(waitMs);
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
