import { expect, test } from "vitest";
import { makeHoldings } from "../base/holdings.ts";
import { newNonce } from "../base/ids.ts";
import { contract } from "../capability/contract.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { makeTestLink } from "../testing/test-link.ts";
import { servicePeer } from "../testing/trio.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type Introducible, introducible, makeHome } from "./home.ts";

type Badge = RpcTarget & { getOwner(): string };
type Office = RpcTarget & { badge(): Badge & Introducible };
const BadgeContract = contract<Badge>("Badge", { getOwner: { params: [] } });
const OfficeContract = contract<Office>("Office", { badge: { params: [], returns: introducible(BadgeContract) } });

test("an introduction gives back no place among the capabilities that its session holds", async () => {
  const clock = makeVirtualClock();
  const home = makeHome({ name: "office", clock });
  const peer = servicePeer("gateway");
  const main = home.main(OfficeContract, { badge: () => ({ getOwner: () => "bob" }) }, peer);
  const env = { peer, holdings: makeHoldings(2) };
  const link = makeTestLink({ clock, env, from: peer, to: { name: home.name, instance: home.instance, main } });
  const office = link.main as unknown as RpcStub<Office>;

  const first = await clock.run(office.badge());
  const { deposit } = await clock.run(first.deposit(newNonce(), "door", 60_000));
  deposit[Symbol.dispose]();
  await clock.settle();
  expect(home.counts().deposits).toBe(0);
  const second = await clock.run(office.badge());
  await expect(clock.run(office.badge().then((badge) => badge.getOwner()))).rejects.toMatchObject({
    reason: "capability_limit",
  });
  for (const badge of [first, second]) badge[Symbol.dispose]();
  await clock.settle();
  expectNoLeaks({ links: [link], homes: [home] });
});
