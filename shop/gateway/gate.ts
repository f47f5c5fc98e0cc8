import { type Clock, type FlotillaError, hasCode, type Implementation, type Peer, type RpcStub } from "@flotilla/kit";
import type { Administration } from "../contracts/administration.ts";
import type { Gateway } from "../contracts/gateway.ts";
import type { Login } from "../contracts/users.ts";
import type { RateSettings } from "../service/rate-settings.ts";
import type { AccountTarget } from "./account.ts";
import { type Bulkheads, makeBulkheads } from "./bulkheads.ts";
import { destinationOf } from "./destinations.ts";
import type { Users } from "./introductions.ts";
import { isRefusal, Lease } from "./lease.ts";
import { LimitReached } from "./limiter.ts";
import { makeLoginLimits } from "./login-limits.ts";
import { makePrincipals } from "./principals.ts";
import { accountCosts, administrationCosts, type Cost, costs, makeRateLimits } from "./rate-limits.ts";
import { makeUserCapabilities } from "./user-capabilities.ts";
import { makeUserSessions } from "./user-sessions.ts";

export interface GateOptions {
  readonly gateway: Implementation<Gateway>;
  readonly users: Pick<Users, "call">;
  readonly clock: Clock;
  readonly rates: RateSettings;
  /** Default: of its own. */
  readonly bulkheads?: Bulkheads;
  /** Hears of each call that was refused here; for counting. */
  readonly onRefused?: (refusal: FlotillaError) => void;
}

/** Stands before the gateway: every call of every session is charged here, and nowhere else. */
export interface Gate {
  /** The gateway as one session of `peer` has it; disposed with the session. */
  open(peer: Peer): Implementation<Gateway> & Disposable;
}

export function makeGate({ gateway, users, clock, rates, bulkheads: given, onRefused }: GateOptions): Gate {
  const bulkheads = given ?? makeBulkheads(clock);
  const budgets = makeRateLimits({ clock, settings: rates });
  const logins = makeLoginLimits({ clock, networkLogins: rates.networkLogins });
  const principals = makePrincipals({ users, clock });
  const sessions = makeUserSessions({ clock, isRefused: principals.isRefused });
  const capabilities = makeUserCapabilities({ clock });

  return {
    open(peer) {
      const network = networkOf(peer);
      const session = charging(costs, async (name, cost, args) => {
        const charged: ChargedCall = { cost, network, args, call: () => called(gateway, name, args) };
        if (name === "login") return await login(charged);
        // Whoever has a refresh token has no principal yet, and an attacker has none to guess: it is 256 random bits.
        if (name === "refresh") return learnt(await spent(charged));
        const acting: Acting = { token: args[0] as string, session: isBatch(peer) ? undefined : session };
        const answer = await byToken(charged, acting);
        return name === "account" ? await limited(answer as AccountTarget, network, acting) : answer;
      });
      return Object.assign(session, {
        [Symbol.dispose]: () => sessions.leave(session),
      }) as unknown as Implementation<Gateway> & Disposable;
    },
  };

  async function spent({ cost, network, call }: ChargedCall): Promise<unknown> {
    budgets.charge(cost, { network, userId: undefined });
    return await call();
  }

  async function login(charged: ChargedCall): Promise<Login> {
    const at = { username: charged.args[0] as string, network: charged.network };
    budgets.charge(charged.cost, { network: at.network, userId: undefined });
    return learnt(await logins.attempt(at, charged.call));
  }

  /** The User Service has said whose the token is. */
  function learnt(answer: unknown): Login {
    const login = answer as Login;
    principals.learn(login.token, login.userId);
    return login;
  }

  /** Every other method takes a token first. */
  async function byToken({ cost, network, call }: ChargedCall, acting: Acting): Promise<unknown> {
    const { token } = acting;
    const userId = principals.userOf(token);
    budgets.charge(cost, { network, userId });
    const joining = userId === undefined ? undefined : join(userId, acting);
    if (joining) await joining;
    try {
      const answer = await call();
      if (userId === undefined) principals.ask(token);
      else confirm(userId, acting);
      return answer;
    } catch (error) {
      if (isRefusal(error)) refused(userId, token);
      // The token looks valid; its user just may not do this.
      else if (userId === undefined && !hasCode(error, "unavailable")) principals.ask(token);
      throw error;
    }
  }

  /** @returns undefined when there is nothing to wait for, as for nearly every call. */
  function join(userId: string, { token, session }: Acting): Promise<void> | undefined {
    return session && !sessions.has(userId, session) ? sessions.join(userId, session, token) : undefined;
  }

  function confirm(userId: string, { token, session }: Acting): void {
    if (session) sessions.confirm(userId, session, token);
  }

  function refused(userId: string | undefined, token: string): void {
    principals.forget(token);
    if (userId !== undefined) sessions.refuse(userId, token);
  }

  /**
   * The account as a client holds it: each call is charged to its user, whichever of their sessions it comes from; to the
   * network only, once the login has ended.
   */
  async function limited(account: AccountTarget, network: string, acting: Acting): Promise<object> {
    const { userId, username } = account;
    const lease = new Lease(account, acting.token, clock);
    lease.begin(await counted(account, lease));
    try {
      // The token may have been unknown until now.
      await join(userId, acting);
    } catch (refusal) {
      lease[Symbol.dispose]();
      throw refusal;
    }
    return charging(
      accountCosts,
      async (name, cost, args) => {
        budgets.charge(cost, { network, userId: lease.userId });
        lease.assertHolds();
        await join(userId, acting);
        const call = () => called(account, name, args);
        return await watched(lease, acting, async () => {
          // A thief of a token could guess at the password here instead.
          if (name === "changePassword") return learnt(await logins.attempt({ username, network }, call));
          const answer = await call();
          confirm(userId, acting);
          return name === "administration"
            ? await limitedAdministration(answer as Office, network, lease, acting)
            : answer;
        });
      },
      lease,
    );
  }

  /** After a refusal of `call` the lease is reviewed, and ends with its login. */
  async function watched<R>(lease: Lease, { token }: Acting, call: () => PromiseLike<R>): Promise<R> {
    try {
      return await call();
    } catch (error) {
      if (isRefusal(error)) {
        refused(lease.account.userId, token);
        await lease.review();
      }
      // Whatever was under way when the lease ended failed because of that.
      lease.assertHolds();
      throw error;
    }
  }

  /** Counts `held` as the user's until it is given back. Owns `held`, and disposes it when it refuses it. */
  async function counted(held: Disposable, lease: Lease): Promise<Disposable> {
    try {
      const give = await capabilities.take(lease.account.userId, lease);
      return {
        [Symbol.dispose]() {
          give();
          held[Symbol.dispose]();
        },
      };
    } catch (refusal) {
      held[Symbol.dispose]();
      throw refusal;
    }
  }

  async function limitedAdministration(office: Office, network: string, lease: Lease, acting: Acting): Promise<object> {
    return charging(
      administrationCosts,
      async (name, cost, args) => {
        budgets.charge(cost, { network, userId: lease.userId });
        lease.assertHolds();
        return await watched(lease, acting, () => called(office, name, args));
      },
      lease.hold(await counted(office, lease)),
    );
  }

  /** By way of the bulkhead of where it goes. */
  function called(target: object, name: string, args: readonly unknown[]): PromiseLike<unknown> {
    return bulkheads.run(destinationOf(name), () => callOn(target, name, args));
  }

  /**
   * An object with the methods of `costsOf`, each of which is `run`; what is refused for a limit is counted.
   * Owns `behind`, which calls that are under way when it is given back still need.
   */
  function charging<Name extends string>(
    costsOf: Readonly<Record<Name, Cost>>,
    run: (name: Name, cost: Cost, args: readonly unknown[]) => Promise<unknown>,
    behind?: Disposable,
  ): object {
    let underWay = 0;
    let isGivenBack = false;
    const endUnused = () => {
      if (isGivenBack && underWay === 0) behind?.[Symbol.dispose]();
    };
    const call = async (name: Name, cost: Cost, args: readonly unknown[]) => {
      underWay += 1;
      try {
        return await run(name, cost, args);
      } catch (error) {
        if (error instanceof LimitReached) onRefused?.(error);
        throw error;
      } finally {
        underWay -= 1;
        endUnused();
      }
    };
    const methods = (Object.entries(costsOf) as [Name, Cost][]).map(([name, cost]) => [
      name,
      (...args: unknown[]) => call(name, cost, args),
    ]);
    const dispose = () => {
      isGivenBack = true;
      endUnused();
    };
    return { ...Object.fromEntries(methods), [Symbol.dispose]: dispose };
  }
}

interface ChargedCall {
  readonly cost: Cost;
  readonly network: string;
  /** As the contract lets them in. */
  readonly args: readonly unknown[];
  readonly call: () => PromiseLike<unknown>;
}

/** By which token a session acts; a batch is no session that lasts. */
interface Acting {
  readonly token: string;
  readonly session: object | undefined;
}

type Office = RpcStub<Administration>;

/** Not a method taken and bound: of a stub, `bind` would be a property of the remote object. */
function callOn(target: object, name: string, args: readonly unknown[]): PromiseLike<unknown> {
  return Reflect.apply((target as Record<string, never>)[name] as never, target, args) as PromiseLike<unknown>;
}

/** Who came by no listener has one budget for all. */
function networkOf(peer: Peer): string {
  return peer.kind === "service" ? peer.name : (peer.network ?? "none");
}

function isBatch(peer: Peer): boolean {
  return peer.kind === "anonymous" && peer.isBatch === true;
}
