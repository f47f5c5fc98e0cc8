import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { edgeLimits, type Limits } from "../base/limits.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeAddressBudget } from "./address-budget.ts";
import { networkOf } from "./networks.ts";
import { makeProxies } from "./proxies.ts";

const from = (remoteAddress: string) =>
  ({ socket: { remoteAddress }, headers: { "x-forwarded-for": "198.51.100.1" } }) as unknown as IncomingMessage;

function makeBudget(limits: Partial<Limits>) {
  const clock = makeVirtualClock();
  return {
    clock,
    budget: makeAddressBudget({ limits: { ...edgeLimits, ...limits }, clock, addressOf: makeProxies().addressOf }),
  };
}

test("an address has so many places and no more, and gets back what it gives back", () => {
  const { budget } = makeBudget({ sessionsPerAddressMax: 2 });
  const { leave } = budget.enter(from("192.0.2.1"));
  budget.enter(from("192.0.2.1"));
  expect(() => budget.enter(from("192.0.2.1"))).toThrow(/Too many sessions/);
  budget.enter(from("192.0.2.2"));
  leave();
  leave();
  budget.enter(from("192.0.2.1"));
  expect(() => budget.enter(from("192.0.2.1"))).toThrow(/Too many sessions/);
});

test("an address opens so many a second, also when it closes them at once", async () => {
  const { budget, clock } = makeBudget({ sessionsPerSecondMax: 10, sessionsBurstMax: 20 });
  const open = () => budget.enter(from("192.0.2.1")).leave();
  for (let i = 0; i < 20; i += 1) open();
  const refusal = { code: "resource_exhausted", reason: "session_rate", retryable: true };
  const refused = expect.objectContaining(refusal);
  expect(open).toThrow(expect.objectContaining({ ...refusal, retryAfterMs: 100 }));
  budget.enter(from("192.0.2.2")).leave();
  await clock.advance(100);
  open();
  expect(open).toThrow(refused);
  await clock.advance(30_000);
  for (let i = 0; i < 20; i += 1) open();
  expect(open).toThrow(refused);
});

test("ten thousand addresses that came and went are forgotten, but not one for which something still runs", async () => {
  const { budget, clock } = makeBudget({ runningCallsMax: 1 });
  const { turns, leave } = budget.enter(from("192.0.2.1"));
  const turn = await turns.take();
  leave();
  for (let i = 0; i < 10_000; i += 1) budget.enter(from(`10.0.${i >> 8}.${i & 255}`)).leave();
  expect(budget.size).toBe(10_001);
  await clock.advance(10_000);
  budget.enter(from("192.0.2.2")).leave();
  expect(budget.size).toBe(2);
  turn.end();
  await clock.advance(10_000);
  budget.enter(from("192.0.2.2")).leave();
  expect(budget.size).toBe(1);
});

test("calls count together for an address, also those of sessions that are gone", async () => {
  const { budget, clock } = makeBudget({ runningCallsMax: 2, sessionsPerAddressMax: 1 });
  const first = budget.enter(from("192.0.2.1"));
  const running = [await first.turns.take(), await first.turns.take()];
  first.leave();
  await clock.advance(60_000);
  budget.enter(from("192.0.2.2")).leave();
  const second = budget.enter(from("192.0.2.1"));
  expect(() => second.turns.take()).toThrow(/More than 2 calls/);
  void budget.enter(from("192.0.2.2")).turns.take();
  for (const turn of running) turn.end();
  void second.turns.take();
});

test("a subscriber of IPv6 is one address, whatever it makes up in its /64", () => {
  expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(networkOf("2001:db8:1:2::9")).toBe("2001:db8:1:2::/64");
  expect(networkOf("2001:db8::1")).toBe("2001:db8:0:0::/64");
  expect(networkOf("::1")).toBe("0:0:0:0::/64");
  expect(networkOf("fe80::1%eth0")).toBe("fe80:0:0:0::/64");
  expect(networkOf("::ffff:192.0.2.7")).toBe("192.0.2.7");
});

/** Addresses of as many /64s, one after the other, within `prefix`. */
const subnets = (count: number, addressOf: (index: string) => string) =>
  Array.from({ length: count }, (_, index) => addressOf(index.toString(16)));

test("all of a /56 have so many places together, and all of a /48, however many /64s they make up", () => {
  const limits = { sessionsPerAddressMax: 2, network56TimesMax: 4, network48TimesMax: 16 };
  const entered = (addresses: readonly string[]) => {
    const { budget } = makeBudget(limits);
    const outcomes = addresses.flatMap((address) => {
      try {
        return [budget.enter(from(address)), budget.enter(from(address))];
      } catch {
        return [];
      }
    });
    return outcomes.length;
  };
  expect(entered(subnets(256, (index) => `2001:db8:1:2${index.padStart(2, "0")}::1`))).toBe(8);
  expect(entered(subnets(256, (index) => `2001:db8:1:${index}00::1`))).toBe(32);
  expect(entered(subnets(256, (index) => `2001:db8:${index}::1`))).toBe(512);
});

test("who leaves makes room in the wider networks too, and all of them begin so many sessions a second", async () => {
  const { budget, clock } = makeBudget({ sessionsPerSecondMax: 1, sessionsBurstMax: 2, network56TimesMax: 4 });
  const addresses = subnets(256, (index) => `2001:db8:1:2${index.padStart(2, "0")}::1`);
  const begun = () => {
    let count = 0;
    for (const address of addresses) {
      try {
        budget.enter(from(address)).leave();
        count += 1;
      } catch {}
    }
    return count;
  };
  expect(begun()).toBe(8);
  await clock.advance(1_000);
  expect(begun()).toBe(4);
});
