import { FlotillaError } from "@flotilla/kit";
import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { makeLoginLimits } from "./login-limits.ts";

const home = "192.0.2.1";
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

function setUp(options: { networkLogins?: number; entriesMax?: number } = {}) {
  const clock = makeVirtualClock();
  const limits = makeLoginLimits({ clock, networkLogins: 100, ...options });
  let tried = 0;
  const attempt = async (username: string, network: string, error?: FlotillaError): Promise<string> => {
    try {
      return await limits.attempt({ username, network }, async () => {
        tried += 1;
        if (error) throw error;
        return "in";
      });
    } catch (thrown) {
      const { code, reason } = thrown as FlotillaError;
      return reason ?? code;
    }
  };
  const right = (username = "bob", network = home) => clock.run(attempt(username, network));
  const wrong = (username = "bob", network = home) =>
    clock.run(attempt(username, network, new FlotillaError("unauthenticated", "no")));
  return { clock, limits, attempt, right, wrong, tried: () => tried };
}

/** What `count` attempts got, each once. */
async function outcomes(count: number, attempt: (index: number) => Promise<string>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let n = 0; n < count; n += 1) {
    const outcome = await attempt(n);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

test("after ten failures with an account from a network none is tried for a quarter of an hour, not even the right one", async () => {
  const { clock, right, wrong, tried } = setUp();
  expect(await outcomes(10, () => wrong())).toEqual({ unauthenticated: 10 });
  expect(await outcomes(5, () => wrong())).toEqual({ rate_limited: 5 });
  expect(await right()).toBe("rate_limited");
  expect(tried()).toBe(10);
  await clock.advance(15 * minuteMs);
  expect(await right()).toBe("in");
});

test("a thousand guesses at once are ten", async () => {
  const { clock, attempt, tried } = setUp();
  const no = new FlotillaError("unauthenticated", "no");
  await clock.run(Promise.all(Array.from({ length: 1_000 }, () => attempt("bob", home, no))));
  expect(tried()).toBe(10);
});

test("the wait grows each time, and with it a day has at most a hundred guesses", async () => {
  const { clock, limits, wrong, tried } = setUp();
  const waits: number[] = [];
  const endMs = clock.monotonicMs() + dayMs - 1;
  while (clock.monotonicMs() < endMs) {
    await outcomes(10, () => wrong());
    const refusal = await limits.attempt({ username: "bob", network: home }, async () => "in").catch((it) => it);
    expect(refusal).toMatchObject({ code: "resource_exhausted", reason: "rate_limited" });
    waits.push(refusal.retryAfterMs / minuteMs);
    await clock.advance(refusal.retryAfterMs);
  }
  expect(waits.slice(0, 6)).toEqual([15, 30, 60, 120, 240, 240]);
  expect(tried()).toBeLessThanOrEqual(100);
});

test("a success forgets the failures, and what they had led to", async () => {
  const { clock, limits, right, wrong } = setUp();
  await outcomes(11, () => wrong());
  await clock.advance(15 * minuteMs);
  await right();
  expect(await outcomes(10, () => wrong())).toEqual({ unauthenticated: 10 });
  const refusal = await limits.attempt({ username: "bob", network: home }, async () => "in").catch((it) => it);
  expect(refusal.retryAfterMs).toBe(15 * minuteMs);
});

test("a network has a hundred failures, whatever the accounts; who logs in well costs it nothing", async () => {
  const { clock, right, wrong } = setUp();
  expect(await outcomes(500, (n) => right(`staff${n}`))).toEqual({ in: 500 });
  expect(await outcomes(110, (n) => wrong(`name${n}`))).toEqual({ unauthenticated: 100, rate_limited: 10 });
  expect(await right("bob", "192.0.2.2")).toBe("in");
  await clock.advance(15 * minuteMs);
  expect(await right()).toBe("in");
});

test("all /64s of a /56 have four hundred failures together, and those of another have their own", async () => {
  const { wrong, tried } = setUp();
  const subnets = Array.from({ length: 8 }, (_, index) => `2001:db8:1:20${index}::/64`);
  for (const [index, network] of subnets.entries()) {
    await outcomes(100, (attempt) => wrong(`user-${index}-${attempt}`, network));
  }
  expect(tried()).toBe(400);
  expect(await wrong("bob", "2001:db8:1:300::/64")).toBe("unauthenticated");
});

test("hammering one account does not keep the neighbours out", async () => {
  const { right, wrong } = setUp();
  await outcomes(1_000, () => wrong());
  expect(await right("alice")).toBe("in");
});

test("guesses from everywhere slow further ones down by at most five seconds, and lock nobody out", async () => {
  const { clock, right, wrong } = setUp();
  await right();
  const tookMs = async (work: Promise<string>) => {
    const startMs = clock.monotonicMs();
    expect(await work).not.toBe("rate_limited");
    return clock.monotonicMs() - startMs;
  };
  expect(await tookMs(wrong("bob", "198.51.100.0"))).toBe(0);
  for (let n = 1; n < 30; n += 1) await wrong("bob", `198.51.100.${n}`);
  expect(await tookMs(wrong("bob", "198.51.100.30"))).toBe(1_000);
  for (let n = 31; n < 100; n += 1) await wrong("bob", `198.51.100.${n}`);
  // Known from home: at once. From the train: slowed, and in. Alice has nothing to do with it.
  expect(await tookMs(right())).toBe(0);
  expect(await tookMs(right("bob", "203.0.113.1"))).toBe(5_000);
  expect(await tookMs(right("alice", "203.0.113.1"))).toBe(0);
  await clock.advance(31 * dayMs);
  for (let n = 0; n < 60; n += 1) await wrong("bob", `198.51.100.${n}`);
  expect(await tookMs(right())).toBeGreaterThan(0);
});

test("of the attempts that are slowed 5,000 wait at once, and the next is refused", async () => {
  const { clock, attempt, wrong } = setUp();
  const no = new FlotillaError("unauthenticated", "no");
  for (let n = 0; n < 30; n += 1) await wrong("bob", `198.51.100.${n}`);
  const slowed = Array.from({ length: 5_000 }, (_, n) => attempt("bob", `network ${n}`, no));
  await clock.settle();
  expect(await attempt("bob", "203.0.113.1", no)).toBe("rate_limited");
  expect(new Set(await clock.run(Promise.all(slowed)))).toEqual(new Set(["unauthenticated"]));
  expect(await clock.run(attempt("bob", "203.0.113.1", no))).toBe("unauthenticated");
});

test("nothing differs for an account that nobody has", async () => {
  const [known, unknown] = [setUp(), setUp()];
  const heard = async ({ wrong }: ReturnType<typeof setUp>, username: string) =>
    outcomes(60, (n) => wrong(username, `192.0.2.${n % 5}`));
  expect(await heard(known, "bob")).toEqual(await heard(unknown, "nobody"));
  expect(known.clock.monotonicMs()).toBe(unknown.clock.monotonicMs());
});

test("an attempt that the User Service never looked at is none", async () => {
  const { clock, attempt, right } = setUp({ networkLogins: 20 });
  for (const code of ["unavailable", "resource_exhausted"] as const) {
    await outcomes(50, () => clock.run(attempt("bob", home, new FlotillaError(code, "not now"))));
  }
  expect(await right()).toBe("in");
});

test("but one that ran out of time may have been looked at, and counts", async () => {
  const { clock, attempt, right } = setUp();
  await outcomes(10, () => clock.run(attempt("bob", home, new FlotillaError("deadline_exceeded", "late"))));
  expect(await right()).toBe("rate_limited");
});

test("no spelling of a name has guesses of its own", async () => {
  const { wrong } = setUp();
  const spellings = ["Zoë", "zoë", "ZOE\u0308", "zoe\u0308"];
  const heard = await outcomes(20, (n) => wrong(spellings[n % spellings.length]));
  expect(heard).toEqual({ unauthenticated: 10, rate_limited: 10 });
});

test("its tables are bounded: what is forgotten is what was not used longest", async () => {
  const { right, wrong } = setUp({ entriesMax: 50 });
  await outcomes(11, () => wrong());
  for (let n = 0; n < 40; n += 1) await wrong(`name${n}`, `198.51.100.${n}`);
  expect(await right()).toBe("rate_limited");
  for (let n = 0; n < 60; n += 1) await wrong(`name${n}`, `198.51.100.${n}`);
  expect(await right()).toBe("in");
});
