/** What an operator may set of the gateway's rate limits. Points: the costs are in shop/gateway/rate-limits.ts. */
export interface RateSettings {
  /** Of everybody at one network address, or IPv6 /64, in ten seconds. */
  readonly networkPoints: number;
  /** Of one user, over all sessions and networks, in ten seconds. */
  readonly userPoints: number;
  /** Failed logins of one network in 15 minutes, whatever the accounts; with one account, a tenth of it. */
  readonly networkLogins: number;
}

export const rateDefaults: RateSettings = {
  // A point is about a millisecond of one core, so this is one core: one network cannot take all of a machine of two.
  // A person who clicks through the shop takes 6 points a second, so 150 of them fit behind one address; a shop front
  // that calls for all its visitors from one address gets about 500 calls a second.
  networkPoints: 10_000,
  // Half of that, so that one user leaves as much to the neighbours. A person takes 60; a script that calls one after
  // the other, which is what one user's programs do, about 2,000.
  userPoints: 5_000,
  // Of an office of 150, so many mistype within a quarter of an hour on the day after the holidays; of all passwords
  // that an attacker would try from there, it is next to none.
  networkLogins: 100,
};

/** Limits of one user at the gateway. Not settable; `--print-config` shows them. */
export const userLimits = {
  /** WebSocket sessions: a person has a few windows on a few devices. */
  sessionsMax: 50,
  /**
   * Accounts and administrations that were not released, over all sessions and batches: one of each in each of 50 windows,
   * twice over. A link between services carries 40,000 (`linkLimits.capabilitiesMax`), so one user takes half a percent.
   */
  capabilitiesMax: 200,
} as const;

/** Each of `rateDefaults` by the variable that overrides it. */
const variables = {
  networkPoints: "FLOTILLA_RATE_NETWORK",
  userPoints: "FLOTILLA_RATE_USER",
  networkLogins: "FLOTILLA_RATE_LOGINS",
} as const satisfies Record<keyof RateSettings, string>;

/** Adds to `problems` what is wrong. There is no value that turns a limit off. */
export function readRates(env: Readonly<Record<string, string | undefined>>, problems: string[]): RateSettings {
  const read = (name: keyof RateSettings): number => {
    const text = env[variables[name]];
    if (!text) return rateDefaults[name];
    if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
    problems.push(`${variables[name]}: expected a whole number from 1 to 999999999, got ${JSON.stringify(text)}`);
    return rateDefaults[name];
  };
  return {
    networkPoints: read("networkPoints"),
    userPoints: read("userPoints"),
    networkLogins: read("networkLogins"),
  };
}
