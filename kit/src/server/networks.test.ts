import { expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeNetworkTable, networkOf, networksOf } from "./networks.ts";

test("an address of IPv6 is one of its /64, and uses the budgets of its /56 and its /48 too", () => {
  const { network56TimesMax, network48TimesMax } = edgeLimits;
  expect(networksOf("2001:db8:1:2fe:3:4:5:6")).toEqual([
    { name: "2001:db8:1:2fe::/64", times: 1 },
    { name: "2001:db8:1:200::/56", times: network56TimesMax },
    { name: "2001:db8:1::/48", times: network48TimesMax },
  ]);
  expect(networksOf("192.0.2.7")).toEqual([{ name: "192.0.2.7", times: 1 }]);
  expect(networksOf("::ffff:192.0.2.7")).toEqual([{ name: "192.0.2.7", times: 1 }]);
});

test("the name of a /64 leads to the same networks as each of its addresses", () => {
  for (const address of ["2001:db8:1:2::9", "2001:db8::1", "::1", "fe80::1%eth0", "2001:0DB8:0:0::", "192.0.2.7"]) {
    expect(networksOf(networkOf(address))).toEqual(networksOf(address));
  }
});

test("no two widths share a name, nor do neighbouring networks", () => {
  const all = ["2001:db8::", "2001:db8:0:1::", "2001:db8:0:100::", "2001:db8:1::"].map((address) =>
    networksOf(address),
  );
  expect(new Set(all.map(([subnet]) => subnet?.name)).size).toBe(4);
  expect(new Set(all.map(([, subscriber]) => subscriber?.name)).size).toBe(3);
  expect(new Set(all.map(([, , site]) => site?.name)).size).toBe(2);
  expect(new Set(all.flat().map(({ name }) => name)).size).toBe(9);
});

test("a table forgets what was idle for ten seconds, and keeps what is not", async () => {
  const clock = makeVirtualClock();
  const make = (times: number) => ({ times, isBusy: false });
  const table = makeNetworkTable({ clock, limits: edgeLimits, make, isIdle: ({ isBusy }) => !isBusy });
  const [busy] = table.of("192.0.2.1");
  busy.isBusy = true;
  for (let i = 0; i < 100; i += 1) table.of(`2001:db8:${i.toString(16)}::1`);
  expect(table.size).toBe(301);
  await clock.advance(10_000);
  table.of("192.0.2.2");
  expect(table.size).toBe(2);
  expect(table.of("192.0.2.1")[0]).toBe(busy);
});
