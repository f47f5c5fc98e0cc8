import type { Clock, RpcTarget } from "@flotilla/kit";
import type { Administration } from "../contracts/administration.ts";
import type { Gateway, MyAccount } from "../contracts/gateway.ts";
import type { RateSettings } from "../service/rate-settings.ts";
import { Limiter, LimitReached, makeNested } from "./limiter.ts";

export type GatewayMethod = Exclude<keyof Gateway, keyof RpcTarget>;
export type AccountMethod = Exclude<keyof MyAccount, keyof RpcTarget>;
export type AdministrationMethod = Exclude<keyof Administration, keyof RpcTarget>;

/** `login` is what takes a secret that could be guessed. */
export type MethodClass = "login" | "read" | "write";

export interface Cost {
  readonly class: MethodClass;
  /** About the milliseconds of one core that a call takes, in all processes together (measured: docs/attacks.md). */
  readonly points: number;
}

/** Argon2: 6 to 20 ms. */
const hashing: Cost = { class: "login", points: 20 };
/** The same, of a password that nobody guesses at. */
const hashingForOther: Cost = { class: "write", points: hashing.points };
/** One service, a few questions in one message. */
const reading: Cost = { class: "read", points: 1 };
/** One service and a list, or two services. */
const listing: Cost = { class: "read", points: 2 };
/** Two services, and a list of up to 1,000: 3 ms. */
const listingOrders: Cost = { class: "read", points: 3 };
/** One service or two, and one write to the disk. */
const writing: Cost = { class: "write", points: 2 };

/** What each method costs. A method without a cost does not compile. */
export const costs: Readonly<Record<GatewayMethod, Cost>> = {
  login: hashing,
  refresh: writing,
  logout: writing,
  account: reading,
  getUserProfile: reading,
  editProfile: writing,
  listUsers: listing,
  findUser: reading,
  createOrder: writing,
  listOrders: listingOrders,
  listAllOrders: listingOrders,
  getOrder: listing,
  cancelOrder: writing,
  createUser: hashingForOther,
  disableUser: writing,
  setRole: writing,
  listRoles: listing,
  setRolePermissions: writing,
  status: reading,
};

export const accountCosts: Readonly<Record<AccountMethod, Cost>> = {
  profile: reading,
  editProfile: writing,
  orders: listingOrders,
  allOrders: listingOrders,
  createOrder: writing,
  order: listing,
  cancelOrder: writing,
  sessions: listing,
  endSession: writing,
  // Two of them: the old password and the new one.
  changePassword: { class: "login", points: 2 * hashing.points },
  logout: writing,
  logoutEverywhere: writing,
  administration: reading,
  orderAudit: listing,
};

export const administrationCosts: Readonly<Record<AdministrationMethod, Cost>> = {
  createUser: hashingForOther,
  disableUser: writing,
  enableUser: writing,
  deleteUser: writing,
  listUsers: listing,
  setRole: writing,
  listRoles: listing,
  createRole: writing,
  deleteRole: writing,
  setRolePermissions: writing,
  audit: listing,
};

/**
 * The part of a budget that one class of methods may take, so that what runs away with one leaves something of the
 * others: a flood of lists does not keep its user from ordering, nor a flood of logins a whole network from its work.
 * Logins: 100 in ten seconds, an office that comes back from a fire drill.
 */
const shares: Readonly<Record<MethodClass, number>> = { login: 0.2, read: 0.8, write: 0.8 };

/** Long enough that a page which asks for thirty things at once is no burst, short enough to wait for. Milliseconds. */
const windowMs = 10_000;
/**
 * Entries of one table. Networks have four tables for each of three widths, and users four: 64 MB in all. More in ten
 * seconds is no crowd.
 */
const entriesMax = 20_000;

export interface Caller {
  readonly network: string;
  /** Of who the User Service said it is. SECURITY: never what a token or a client says. */
  readonly userId: string | undefined;
}

/** Budgets of networks and users over all their sessions and batches. */
export interface RateLimits {
  /**
   * Takes `cost` from the budgets of the caller's network, of the wider networks around one of IPv6, and of the user, of all
   * methods and of the class: from each of them, or from none.
   * @throws LimitReached reason `rate_limited`, with the wait until the budget that ends last begins anew.
   */
  charge(cost: Cost, caller: Caller): void;
}

export interface RateLimitsOptions {
  readonly clock: Clock;
  readonly settings: RateSettings;
}

export function makeRateLimits({ clock, settings }: RateLimitsOptions): RateLimits {
  const budgetsOf = makeNested((times) => makeBudget(clock, settings.networkPoints * times));
  const users = makeBudget(clock, settings.userPoints);
  return {
    charge(cost, { network, userId }) {
      const charged = budgetsOf(network);
      if (userId !== undefined) charged.push({ counter: users, name: userId });
      let waitMs = 0;
      for (const { counter, name } of charged) waitMs = Math.max(waitMs, waitMsOf(counter, name, cost));
      if (waitMs > 0) throw new LimitReached("Too many calls; try again later", { reason: "rate_limited", waitMs });
      for (const { counter, name } of charged) {
        counter.all.add(name, cost.points);
        counter[cost.class].add(name, cost.points);
      }
    },
  };
}

type Budget = Readonly<Record<MethodClass | "all", Limiter>>;

function waitMsOf(budget: Budget, key: string, { class: of, points }: Cost): number {
  return Math.max(budget.all.waitMs(key, points), budget[of].waitMs(key, points));
}

function makeBudget(clock: Clock, points: number): Budget {
  const part = (share: number) =>
    new Limiter({ clock, points: Math.max(1, Math.floor(points * share)), windowMs, entriesMax });
  return { all: part(1), login: part(shares.login), read: part(shares.read), write: part(shares.write) };
}
