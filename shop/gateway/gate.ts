import {
  type Clock,
  type Connection,
  type FlotillaError,
  hasCode,
  type Implementation,
  type Peer,
} from "@flotilla/kit";
import type { Gateway } from "../contracts/gateway.ts";
import type { Login, UserService } from "../contracts/users.ts";
import type { RateSettings } from "../service/rate-settings.ts";
import type { AccountTarget } from "./account.ts";
import { LimitReached } from "./limiter.ts";
import { makeLoginLimits } from "./login-limits.ts";
import { makePrincipals } from "./principals.ts";
import { accountCosts, type Cost, costs, makeRateLimits } from "./rate-limits.ts";
import { makeUserSessions } from "./user-sessions.ts";

export interface GateOptions {
  readonly gateway: Implementation<Gateway>;
  readonly users: Connection<UserService>;
  readonly clock: Clock;
  readonly rates: RateSettings;
  /** Hears of each call that was refused here; for counting. */
  readonly onRefused?: (refusal: FlotillaError) => void;
}

/** Stands before the gateway: every call of every session is charged here, and nowhere else. */
export interface Gate {
  /** The gateway as one session of `peer` has it; disposed with the session. */
  open(peer: Peer): Implementation<Gateway> & Disposable;
}

type Method = (...args: unknown[]) => PromiseLike<unknown>;

export function makeGate({ gateway, users, clock, rates, onRefused }: GateOptions): Gate {
  const budgets = makeRateLimits({ clock, settings: rates });
  const logins = makeLoginLimits({ clock, networkLogins: rates.networkLogins });
  const principals = makePrincipals({ users, clock });
  const sessions = makeUserSessions();

  return {
    open(peer) {
      const session = charging(costs, (name, cost, args) => {
        const call = () => methodOf(gateway, name)(...args);
        const charged: ChargedCall = { cost, network: networkOf(peer), args, call };
        if (name === "login") return login(charged);
        // Whoever has a refresh token has no principal yet, and an attacker has none to guess: it is 256 random bits.
        if (name === "refresh") return budgets.charge(cost, { network: networkOf(peer), userId: undefined }).then(call);
        const answer = byToken(charged, (userId) => isBatch(peer) || sessions.join(userId, session));
        return name === "account" ? answer.then((account) => limited(account as AccountTarget, peer)) : answer;
      });
      return Object.assign(session, {
        [Symbol.dispose]: () => sessions.leave(session),
      }) as unknown as Implementation<Gateway> & Disposable;
    },
  };

  async function login({ cost, network, args, call }: ChargedCall): Promise<unknown> {
    await budgets.charge(cost, { network, userId: undefined });
    const username = args[0] as string;
    const answer = (await logins.attempt({ username, network }, call)) as Login;
    principals.learn(answer.token, answer.userId);
    return answer;
  }

  /** Every other method takes a token first. */
  async function byToken({ cost, network, args, call }: ChargedCall, join: (userId: string) => void): Promise<unknown> {
    const token = args[0] as string;
    const userId = principals.userOf(token);
    if (userId !== undefined) join(userId);
    await budgets.charge(cost, { network, userId });
    try {
      const answer = await call();
      if (userId === undefined) principals.ask(token);
      return answer;
    } catch (error) {
      if (hasCode(error, "unauthenticated")) principals.forget(token);
      // Of somebody, it seems, who may not do this one thing.
      else if (userId === undefined && !hasCode(error, "unavailable")) principals.ask(token);
      throw error;
    }
  }

  /** The account as a client holds it: each call is charged to its user, whoever of their sessions it comes from. */
  function limited(account: AccountTarget, peer: Peer): object {
    const charged = charging(accountCosts, async (name, cost, args) => {
      await budgets.charge(cost, { network: networkOf(peer), userId: account.userId });
      return await methodOf(account, name)(...args);
    });
    return Object.assign(charged, { [Symbol.dispose]: () => account[Symbol.dispose]() });
  }

  /** An object with the methods of `costs`, each of which is `run`; what is refused for a limit is counted. */
  function charging<Name extends string>(
    costsOf: Readonly<Record<Name, Cost>>,
    run: (name: Name, cost: Cost, args: readonly unknown[]) => Promise<unknown>,
  ): object {
    const methods = (Object.entries(costsOf) as [Name, Cost][]).map(([name, cost]) => [
      name,
      (...args: unknown[]) => counted(run(name, cost, args)),
    ]);
    return Object.fromEntries(methods) as object;
  }

  async function counted(answer: Promise<unknown>): Promise<unknown> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof LimitReached) onRefused?.(error);
      throw error;
    }
  }
}

interface ChargedCall {
  readonly cost: Cost;
  readonly network: string;
  /** As the contract lets them in. */
  readonly args: readonly unknown[];
  readonly call: () => PromiseLike<unknown>;
}

function methodOf(target: object, name: string): Method {
  return ((target as Record<string, unknown>)[name] as Method).bind(target);
}

/** Who came by no listener has one budget for all. */
function networkOf(peer: Peer): string {
  return peer.kind === "service" ? peer.name : (peer.network ?? "none");
}

function isBatch(peer: Peer): boolean {
  return peer.kind === "anonymous" && peer.isBatch === true;
}
