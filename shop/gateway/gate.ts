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
import { LimitReached } from "./limiter.ts";
import { makeLoginLimits } from "./login-limits.ts";
import { makePrincipals } from "./principals.ts";
import { type Cost, costs, type GatewayMethod, makeRateLimits } from "./rate-limits.ts";
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

type Call = (...args: unknown[]) => PromiseLike<unknown>;

export function makeGate({ gateway, users, clock, rates, onRefused }: GateOptions): Gate {
  const budgets = makeRateLimits({ clock, settings: rates });
  const logins = makeLoginLimits({ clock, networkLogins: rates.networkLogins });
  const principals = makePrincipals({ users, clock });
  const sessions = makeUserSessions();

  return {
    open(peer) {
      const limited = Object.entries(costs).map(([method, cost]) => [
        method,
        (...args: unknown[]) => {
          const call = () => (gateway[method as GatewayMethod] as Call)(...args);
          return counted(charged(cost, { peer, session, args, call }));
        },
      ]);
      const session = { ...Object.fromEntries(limited), [Symbol.dispose]: () => sessions.leave(session) };
      return session as Implementation<Gateway> & Disposable;
    },
  };

  /** What the call answers, once it was charged. */
  async function charged(cost: Cost, { peer, session, args, call }: ChargedCall): Promise<unknown> {
    const network = networkOf(peer);
    if (cost.class === "login") {
      await budgets.charge(cost, { network, userId: undefined });
      const username = args[0] as string;
      const login = (await logins.attempt({ username, network }, call)) as Login;
      principals.learn(login.token, login.userId);
      return login;
    }
    const token = args[0] as string;
    const userId = principals.userOf(token);
    if (userId !== undefined && !isBatch(peer)) sessions.join(userId, session);
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
  readonly peer: Peer;
  readonly session: object;
  /** As the contract lets them in. */
  readonly args: readonly unknown[];
  readonly call: () => PromiseLike<unknown>;
}

/** Who came by no listener has one budget for all. */
function networkOf(peer: Peer): string {
  return peer.kind === "service" ? peer.name : (peer.network ?? "none");
}

function isBatch(peer: Peer): boolean {
  return peer.kind === "anonymous" && peer.isBatch === true;
}
