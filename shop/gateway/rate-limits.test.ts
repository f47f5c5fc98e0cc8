import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { rateDefaults } from "../service/rate-settings.ts";
import { LimitReached } from "./limiter.ts";
import { type Caller, type Cost, costs, makeRateLimits } from "./rate-limits.ts";

const bob: Caller = { network: "192.0.2.1", userId: "user2" };
const stranger: Caller = { network: "192.0.2.1", userId: undefined };

function setUp(settings: Partial<typeof rateDefaults> = {}) {
  const clock = makeVirtualClock();
  const limits = makeRateLimits({ clock, settings: { ...rateDefaults, ...settings } });
  /** How many of `count` calls pass. */
  const passing = (count: number, cost: Cost, caller: Caller) => {
    let passed = 0;
    for (let n = 0; n < count; n += 1) {
      try {
        limits.charge(cost, caller);
        passed += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(LimitReached);
      }
    }
    return passed;
  };
  return { clock, limits, passing };
}

const write: Cost = { class: "write", points: 1 };
const read: Cost = { class: "read", points: 1 };
const login: Cost = { class: "login", points: 1 };

test("a user's calls count together over all networks", () => {
  const { passing } = setUp({ userPoints: 100, networkPoints: 1_000 });
  expect(passing(100, write, bob)).toBe(80);
  expect(passing(100, write, { ...bob, network: "192.0.2.2" })).toBe(0);
  expect(passing(100, write, { ...bob, userId: "user3" })).toBe(80);
});

test("a network's calls count together, whoever makes them", () => {
  const { passing } = setUp({ userPoints: 100, networkPoints: 100 });
  expect(passing(60, write, stranger)).toBe(60);
  expect(passing(60, write, bob)).toBe(20);
  expect(passing(60, write, { ...bob, network: "192.0.2.2" })).toBe(60);
});

test("all /64s of a /56 have so many points together, and all of a /48, however many a subscriber makes up", () => {
  const passed = (networks: readonly string[]) => {
    const { passing } = setUp({ networkPoints: 10 });
    let sum = 0;
    for (const network of networks) sum += passing(10, write, { network, userId: undefined });
    return sum;
  };
  const subnets = Array.from({ length: 32 }, (_, index) => index.toString(16).padStart(2, "0"));
  expect(passed(subnets.map((index) => `2001:db8:1:2${index}::/64`))).toBe(4 * 8);
  expect(passed(subnets.map((index) => `2001:db8:1:${index}00::/64`))).toBe(16 * 8);
});

test("no class of methods takes all: whoever lists without end can still order, and may log in", () => {
  const { passing } = setUp({ userPoints: 1_000, networkPoints: 100 });
  expect(passing(1_000, read, bob)).toBe(80);
  expect(passing(10, write, bob)).toBe(10);
  expect(passing(1_000, login, stranger)).toBe(10);
});

test("logins take a fifth of what a network may", () => {
  const { passing } = setUp({ networkPoints: 100 });
  expect(passing(1_000, login, stranger)).toBe(20);
  expect(passing(10, read, stranger)).toBe(10);
});

test("what is refused takes nothing of any budget, and says when to come again", async () => {
  const { clock, limits, passing } = setUp({ userPoints: 10, networkPoints: 100 });
  passing(8, read, bob);
  await clock.advance(4_000);
  for (let n = 0; n < 100; n += 1) {
    const refusal = { code: "resource_exhausted", reason: "rate_limited", retryable: true, retryAfterMs: 6_000 };
    expect(() => limits.charge(read, bob)).toThrow(expect.objectContaining(refusal));
  }
  expect(passing(100, read, stranger)).toBe(72);
  await clock.advance(6_000);
  expect(passing(100, read, bob)).toBe(8);
});

test("who has used up two budgets waits for the one that ends last", async () => {
  const { clock, limits, passing } = setUp({ userPoints: 10, networkPoints: 10 });
  passing(8, read, stranger);
  await clock.advance(4_000);
  passing(8, read, { ...bob, network: "192.0.2.2" });
  expect(() => limits.charge(read, bob)).toThrow(expect.objectContaining({ retryAfterMs: 10_000 }));
});

test("a dearer call takes more", () => {
  const { passing } = setUp({ networkPoints: 100 });
  expect(passing(100, costs.listOrders, stranger)).toBe(26);
  expect(passing(100, costs.login, stranger)).toBe(1);
});

test("with the defaults a person, and a busy shop front, are not in anybody's way", () => {
  const { passing } = setUp();
  expect(passing(30, costs.listOrders, bob)).toBe(30);
  expect(passing(1_500, costs.createOrder, { network: "192.0.2.3", userId: undefined })).toBe(1_500);
  expect(passing(3_000, costs.listUsers, { network: "192.0.2.3", userId: undefined })).toBe(3_000);
});

test("of many networks the ones that called longest ago are forgotten, so that no crowd of addresses fills the memory", () => {
  const { limits, passing } = setUp({ networkPoints: 10 });
  expect(passing(10, write, stranger)).toBe(8);
  for (let n = 0; n < 20_000; n += 1) limits.charge(write, { ...stranger, network: `${n}` });
  expect(passing(10, write, stranger)).toBe(8);
});
