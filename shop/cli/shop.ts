import { setTimeout as delay } from "node:timers/promises";
import type { RpcStub } from "@flotilla/kit";
import { openBatch } from "@flotilla/kit/browser";
import type { Gateway } from "../contracts/gateway.ts";
import type { Login } from "../contracts/users.ts";
import { gatewayUrlDefault } from "../topology.ts";
import { advised, CliError, toCliError, usageError } from "./cli-error.ts";
import { type Answer, isAnswered, refusalOf, send } from "./post.ts";
import { whileLocked } from "./profile-lock.ts";
import type { Profiles } from "./profiles.ts";
import type { Terminal } from "./terminal.ts";
import { say } from "./text.ts";

export interface ShopOptions {
  readonly profiles: Profiles;
  readonly profileName: string;
  /** From the command line or the environment; default: the profile's, then this machine's. */
  readonly gateway: string | undefined;
  readonly timeoutMs: number;
  readonly terminal: Terminal;
  /** Aborted by Ctrl+C. */
  readonly signal: AbortSignal;
}

export interface CallOptions {
  /**
   * What is sure to be harmless when it happens twice is repeated whenever the gateway is away; `unsent` only when the
   * first try was not sent. Default: `always`.
   */
  readonly repeat?: "always" | "unsent";
}

type Call<T> = (gateway: RpcStub<Gateway>, token: string) => PromiseLike<T>;

/** The gateway and this profile's login with it. Every call has a deadline, and all calls of one command share it. */
export interface Shop {
  readonly url: string;
  readonly profileName: string;
  /** Undefined when the profile has none with this gateway. */
  login(): Login | undefined;
  /** One batch: what `run` calls before it first waits for something travels together. */
  call<T>(run: (gateway: RpcStub<Gateway>) => PromiseLike<T>, options?: CallOptions): Promise<T>;
  /** The same in the name of the profile's login, which is renewed when it has to be. */
  callAs<T>(run: Call<T>, options?: CallOptions): Promise<T>;
  /** An access token that is good for some seconds at least. */
  token(): Promise<string>;
  /** Renews the login now. */
  renew(): Promise<Login>;
  get(path: string): Promise<Answer>;
  /** Remembers a login and where it was made. */
  save(login: Login): void;
  forget(): void;
}

/** Attempts, waits between them, and when a person is told that it takes long. Milliseconds. */
const attemptsMax = 5;
const firstWaitMs = 100;
const patienceMs = 1_000;
/** A token that ends sooner is renewed before it is used: it has to live for as long as the call may take. */
const tokenMsMin = 10_000;

export function makeShop(options: ShopOptions): Shop {
  const { profiles, profileName, terminal } = options;
  const kept = profiles.read(profileName);
  const url = addressOf(options.gateway ?? kept.gateway ?? gatewayUrlDefault);
  let deadline: AbortSignal | undefined;
  let deadlineAtMs = 0;

  const shop: Shop = {
    url,
    profileName,
    login() {
      const { gateway, login } = profiles.read(profileName);
      return gateway === url ? login : undefined;
    },
    call: (run, { repeat = "always" } = {}) => whilePatient(() => repeated(() => once(run), repeat)),
    async callAs(run, callOptions) {
      const login = await current();
      const { token } = login;
      try {
        return await shop.call((gateway) => run(gateway, token), callOptions);
      } catch (error) {
        // Of two machines' clocks one is wrong, or the keys were changed: nothing has run.
        if (!isEndedToken(error) || shop.login() === undefined) throw error;
        const { token: another } = await renewed(login);
        return await shop.call((gateway) => run(gateway, another), callOptions);
      }
    },
    token: async () => (await current()).token,
    renew: () => renewed(required()),
    get: (path) => whilePatient(() => send({ url: new URL(path, `${url}/`), method: "GET", signal: signalNow() })),
    save: (login) => profiles.write(profileName, { gateway: url, login }),
    forget: () => profiles.write(profileName, { gateway: url }),
  };
  return shop;

  function required(): Login {
    const login = shop.login();
    if (login) return login;
    const elsewhere = kept.login && kept.gateway !== url ? ` (profile ${profileName} is, at ${kept.gateway})` : "";
    throw new CliError("unauthenticated", `You are not logged in at ${url}${elsewhere}`, { reason: "no_login" });
  }

  /** One whose access token can be used. */
  async function current(): Promise<Login> {
    const login = required();
    return login.expiresAt - Date.now() > tokenMsMin ? login : await renewed(login);
  }

  /**
   * Two commands at once renew one after the other, and the second finds what the first was given: by the refresh token,
   * which is another each time; an access token of the same second is the same.
   */
  function renewed(found: Login): Promise<Login> {
    const work = async () => {
      const login = required();
      if (login.refreshToken !== found.refreshToken) return login;
      terminal.detail(say`The access token has ended; renewing the login`);
      try {
        const next = await shop.call((gateway) => gateway.refresh(login.refreshToken));
        shop.save(next);
        return next;
      } catch (error) {
        if (!isEndedToken(error)) throw error;
        shop.forget();
        throw new CliError("unauthenticated", "Your login has ended", { reason: "login_ended", cause: error });
      }
    };
    return whileLocked(profiles, profileName, { signal: signalNow(), work });
  }

  /** From the first call on: how long a person takes to type a password counts for nothing. */
  function signalNow(): AbortSignal {
    if (!deadline) {
      const late = new AbortController();
      const { timeoutMs, signal } = options;
      deadlineAtMs = performance.now() + timeoutMs;
      const why = `The gateway at ${url} did not answer within ${timeoutMs / 1_000} s`;
      setTimeout(() => late.abort(new CliError("deadline_exceeded", why)), timeoutMs).unref();
      deadline = AbortSignal.any([signal, late.signal]);
    }
    return deadline;
  }

  async function once<T>(run: (gateway: RpcStub<Gateway>) => PromiseLike<T>): Promise<T> {
    const signal = signalNow();
    const address = new URL("rpc/batch", `${url}/`);
    const post = async (body: string) => {
      const startedMs = performance.now();
      const timeoutMs = Math.max(deadlineAtMs - startedMs, 1);
      const answer = await send({ url: address, method: "POST", body, signal, timeoutMs });
      const tookMs = Math.round(performance.now() - startedMs);
      terminal.detail(say`POST ${address.href}: HTTP ${answer.status} in ${tookMs} ms, request ${answer.requestId}`);
      if (!isAnswered(answer)) throw refusalOf(address, answer);
      return answer.text;
    };
    using batch = openBatch<Gateway>({ url: address.href, post });
    return await run(batch.main);
  }

  async function repeated<T>(attempt: () => Promise<T>, repeat: "always" | "unsent"): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await attempt();
      } catch (thrown) {
        const error = toCliError(thrown);
        const { retryable, reason, retryAfterMs } = error.detail;
        const isHarmless = repeat === "always" || reason === "not_sent";
        const waitMs = retryAfterMs ?? firstWaitMs * 2 ** (tried - 1) * (0.5 + Math.random());
        const isInTime = performance.now() + waitMs < deadlineAtMs;
        if (error.code === "unavailable" && !isHarmless)
          throw advised(error, "Look whether it was done before you repeat it");
        if (error.code !== "unavailable" || !retryable || !isHarmless || !isInTime || tried === attemptsMax)
          throw error;
        terminal.detail(say`${error.message}; trying again in ${Math.round(waitMs)} ms`);
        await delay(waitMs, undefined, { signal: signalNow() }).catch(() => signalNow().throwIfAborted());
      }
    }
  }

  async function whilePatient<T>(work: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const seconds = () => Math.round((performance.now() - startedMs) / 1_000);
    const timer = setInterval(() => terminal.progress(say`Waiting for ${url} (${seconds()} s) ...`), patienceMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      terminal.progressEnded();
    }
  }
}

function isEndedToken(error: unknown): boolean {
  return toCliError(error).code === "unauthenticated" && toCliError(error).detail.reason === undefined;
}

/** Without a slash at its end. Throws a usage error for what is no address of a gateway. */
function addressOf(text: string): string {
  const url = URL.parse(text);
  const isPlain = url && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!isPlain || !/^https?:$/.test(url.protocol)) {
    throw usageError(`The gateway has an address such as ${gatewayUrlDefault}; got ${JSON.stringify(text)}`);
  }
  return url.href.replace(/\/+$/, "");
}
