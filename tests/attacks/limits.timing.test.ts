import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { batchClient, patient } from "../gateway-clients.ts";
import { post } from "./hostile-http.ts";
import { callOf, dial, errorOf, type Message } from "./hostile-peer.ts";
import { startTarget, type Target } from "./target.ts";

/** The attackers come from 127.0.0.2 and on; only Linux has these addresses without being told. */
const canComeFromElsewhere = process.platform === "linux";
/** Less than the defaults, so that the attacks are short, and enough for the honest customer, who takes 1,000. */
const rates = { FLOTILLA_RATE_NETWORK: "6000", FLOTILLA_RATE_USER: "3000" };
/** The share of these that a user's, and a network's, writes may take. */
const writesShare = 0.8;
const windowMs = 10_000;
/**
 * The call that costs the most points for the least work: the User Service refuses it before it hashes anything. Even a machine
 * with little time to spare outspends a budget with it before the budget refills.
 */
const createUserPoints = 20;
const newUser = { username: "mallory", password: "correct horse battery", email: "mallory@example.com" };

let target: Target;
beforeAll(async () => {
  if (canComeFromElsewhere) target = await startTarget(rates);
});
afterAll(() => target?.[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) =>
  test.skipIf(!canComeFromElsewhere)(name, () => target.attack(run));

/** What the answers said: `ok`, or the reason or code of the refusal. */
type Tally = Map<string, number>;

const limitReasons: readonly unknown[] = ["rate_limited", "session_limit"];

/** How long a sender waits after a refusal for overload (ms). */
const shedRetryMs = 500;

/** A busy machine refuses some for what it has to do, and not for what they have spent. They are sent again. */
function isShed(answer: Message): boolean {
  const error = errorOf(answer);
  return error?.code === "resource_exhausted" && !limitReasons.includes(error.fields.reason);
}

function count(tally: Tally, answer: Message): void {
  const error = errorOf(answer);
  const outcome = error ? String(error.fields.reason ?? error.code) : "ok";
  tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
  if (outcome === "rate_limited") {
    expect(error).toMatchObject({ code: "resource_exhausted", fields: { retryable: true } });
    expect(error?.fields.retryAfterMs).toBeGreaterThan(0);
  }
}

interface Flood {
  readonly method: string;
  args(index: number): readonly unknown[];
  /** Last numbers of 127.0.0.x. */
  readonly from: readonly number[];
  /** From each address as many over WebSocket, in sessions of a hundred and pipelined, and half as many in batches. */
  readonly each: number;
}

const indices = (first: number, count: number) => Array.from({ length: count }, (_, n) => first + n);

/** Whoever sends these says with each that it comes from somewhere else. */
async function flood({ method, args, from, each }: Flood): Promise<Tally> {
  const tally: Tally = new Map();
  const lie = (n: number) => ({ "x-forwarded-for": `203.0.113.${n % 250}`, "x-real-ip": `203.0.113.${n % 250}` });
  const session = async (localAddress: string, first: number) => {
    using peer = await dial(target.shop.urls.gateway, { framing: "flotilla.v1", localAddress, headers: lie(first) });
    await untilAnswered(indices(first, 100), async (left) => {
      const ids = left.map((index) => peer.call(method, args(index)));
      return await Promise.all(ids.map((id) => peer.answer(id)));
    });
  };
  const batches = async (localAddress: string) => {
    for (let sent = 0; sent < each / 2; sent += 50) {
      await untilAnswered(indices(each + sent, 50), async (left) => {
        const lines = left.flatMap((index, n) => callOf(method, args(index), n + 1));
        const body = lines.map((line) => JSON.stringify(line)).join("\n");
        const url = `${target.shop.urls.gateway}/rpc/batch`;
        const { text } = await post(url, { body, localAddress, headers: lie(sent) });
        const answers = text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as Message);
        return answers.sort(([, a], [, b]) => Number(a) - Number(b));
      });
    }
  };
  const untilAnswered = async (
    asked: readonly number[],
    send: (left: readonly number[]) => Promise<readonly Message[]>,
  ): Promise<void> => {
    for (let left = asked; left.length > 0; ) {
      const answers = await send(left);
      for (const answer of answers) if (!isShed(answer)) count(tally, answer);
      left = left.filter((_, n) => isShed(answers[n]!));
      if (left.length > 0) await sleep(shedRetryMs);
    }
  };
  await Promise.all(
    from.flatMap((last) => {
      const localAddress = `127.0.0.${last}`;
      const sessions = Array.from({ length: each / 100 }, (_, n) => session(localAddress, n * 100));
      return [...sessions, batches(localAddress)];
    }),
  );
  return tally;
}

/** Calls that `points` allow in the windows that `tookMs` touches. */
const allowed = (points: number, tookMs: number) =>
  Math.floor((points * writesShare) / createUserPoints) * (1 + Math.ceil(tookMs / windowMs));

async function timed<T>(run: () => Promise<T>): Promise<{ readonly result: T; readonly tookMs: number }> {
  const startMs = performance.now();
  const result = await run();
  return { result, tookMs: performance.now() - startMs };
}

/** An honest log-in, from an address that attacked nobody. */
const logIn = (name: string) =>
  patient(batchClient(target.shop.urls.gateway, { connection: "close" })).login(name, "password");

attack("R11 a flood of log-ins over all accounts is tried a hundred times, and others log in meanwhile", async () => {
  const flooding = flood({ method: "login", args: (n) => [`name${n}`, "wrong"], from: [2], each: 400 });
  await expect(logIn("alice")).resolves.toMatchObject({ userId: "user1" });
  const tally = await flooding;
  expect(tally.get("unauthenticated")).toBeLessThanOrEqual(100);
  expect(tally.get("rate_limited")).toBeGreaterThan(400);
});

attack("R11 guesses at one account from one network are ten, and the right one is not told from them", async () => {
  const guess = (n: number) => ["charlie", n % 100 === 99 ? "password" : `guess${n}`];
  const tally = await flood({ method: "login", args: guess, from: [3], each: 100 });
  // An attempt that was not refused was tried, with whatever outcome.
  expect(tally.get("rate_limited")).toBeGreaterThanOrEqual(140);
});

attack("R11 a victim of guesses from many networks logs in from home, and at once", async () => {
  await flood({ method: "login", args: () => ["charlie", "wrong"], from: [4, 5, 6, 7, 8], each: 100 });
  const [other, victim] = [await timed(() => logIn("alice")), await timed(() => logIn("charlie"))];
  expect(victim.result).toMatchObject({ userId: "user3" });
  // Slowed down as from an unknown network, it would take two seconds longer.
  expect(victim.tookMs - other.tookMs).toBeLessThan(1_000);
});

attack("R14 one user has one budget over sessions, batches, pipelining, networks and forwarding headers", async () => {
  const startMs = performance.now();
  const token = target.tokens.charlie;
  const tally = await flood({ method: "createUser", args: () => [token, newUser], from: [10, 11, 12, 13], each: 100 });
  const max = allowed(Number(rates.FLOTILLA_RATE_USER), performance.now() - startMs);
  expect(tally.get("permission_missing")).toBeLessThanOrEqual(max);
  expect(tally.get("rate_limited")).toBeGreaterThan(0);
  const { permission_missing: _, rate_limited: __, ...others } = Object.fromEntries(tally);
  expect(others).toEqual({});
});

attack("R14 one network has one budget, and made-up tokens spend nobody else's", async () => {
  const startMs = performance.now();
  const madeUp = (n: number) => [String(n).padStart(43, "x"), newUser];
  const tally = await flood({ method: "createUser", args: madeUp, from: [14], each: 800 });
  const max = allowed(Number(rates.FLOTILLA_RATE_NETWORK), performance.now() - startMs);
  expect(tally.get("unauthenticated")).toBeLessThanOrEqual(max);
  expect(tally.get("rate_limited")).toBeGreaterThan(0);
});

attack("R14 the sessions of one user are fifty, wherever they come from", async () => {
  const tally: Tally = new Map();
  const peers = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      dial(target.shop.urls.gateway, { framing: "flotilla.v1", localAddress: `127.0.0.${20 + (n % 5)}` }),
    ),
  );
  for (const peer of peers) count(tally, await peer.answer(peer.call("getUserProfile", [target.tokens.alice])));
  for (const peer of peers) peer.socket.terminate();
  expect(Object.fromEntries(tally)).toEqual({ ok: 50, session_limit: 10 });
});
