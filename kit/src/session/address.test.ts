import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { makeAddressBudget, networkOf } from "./address.ts";

const from = (remoteAddress: string) =>
  ({ socket: { remoteAddress }, headers: { "x-forwarded-for": "198.51.100.1" } }) as unknown as IncomingMessage;

test("an address has so many places and no more, and gets back what it gives back", () => {
  const budget = makeAddressBudget(2);
  const { leave, peer } = budget.enter(from("192.0.2.1"));
  expect(budget.enter(from("192.0.2.1")).peer).toBe(peer);
  expect(() => budget.enter(from("192.0.2.1"))).toThrow(/Too many sessions/);
  expect(budget.enter(from("192.0.2.2")).peer).not.toBe(peer);
  leave();
  leave();
  budget.enter(from("192.0.2.1"));
  expect(() => budget.enter(from("192.0.2.1"))).toThrow(/Too many sessions/);
});

test("a subscriber of IPv6 is one address, whatever it makes up in its /64", () => {
  expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(networkOf("2001:db8:1:2::9")).toBe("2001:db8:1:2::/64");
  expect(networkOf("2001:db8::1")).toBe("2001:db8:0:0::/64");
  expect(networkOf("::1")).toBe("0:0:0:0::/64");
  expect(networkOf("fe80::1%eth0")).toBe("fe80:0:0:0::/64");
  expect(networkOf("::ffff:192.0.2.7")).toBe("192.0.2.7");
});
