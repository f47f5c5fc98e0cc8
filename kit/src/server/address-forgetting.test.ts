import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { edgeLimits, type Limits } from "../base/limits.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeAddressBudget } from "./address-budget.ts";
import { makeProxies } from "./proxies.ts";

const from = (remoteAddress: string) => ({ socket: { remoteAddress }, headers: {} }) as unknown as IncomingMessage;

function makeBudget(limits: Partial<Limits>) {
  const clock = makeVirtualClock();
  const budget = makeAddressBudget({ limits: { ...edgeLimits, ...limits }, clock, addressOf: makeProxies().addressOf });
  return { clock, budget };
}

test("an address is not forgotten while it has sessions, however long it begins no other", async () => {
  const { clock, budget } = makeBudget({ sessionsPerAddressMax: 2 });
  budget.enter(from("192.0.2.1"));
  budget.enter(from("192.0.2.1"));
  await clock.advance(60_000);
  budget.enter(from("192.0.2.2")).leave();
  const refused = expect.objectContaining({ reason: "session_limit" });
  expect(() => budget.enter(from("192.0.2.1"))).toThrow(refused);
});

test("an address that has just begun many sessions and left is not forgotten with what it has spent", async () => {
  const { clock, budget } = makeBudget({ sessionsPerSecondMax: 1, sessionsBurstMax: 20 });
  const open = (address: string) => budget.enter(from(address)).leave();
  await clock.advance(9_999);
  for (let n = 0; n < 20; n += 1) open("192.0.2.1");
  await clock.advance(1);
  open("192.0.2.2");
  expect(() => open("192.0.2.1")).toThrow(expect.objectContaining({ reason: "session_rate" }));
});
