import { describe, expect, test } from "vitest";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { makeRandom } from "../random.ts";
import { type Intent, quantile, violations } from "./history.ts";
import { killUnderLoad } from "./kills.ts";

describe("the checker", () => {
  const intent = (number: number, orderId?: string): Intent => ({
    number,
    startedAtMs: 0,
    attempts: 1,
    ...(orderId !== undefined && { acknowledged: { orderId, atMs: 1 } }),
  });
  const stored = (number: number, orderId: string) => ({ orderId, total: number / 100, status: "pending" });
  const historyOf = (...intents: Intent[]) => ({ intents, errors: new Map() });

  test("finds nothing where every order is there once, and one of which nobody has heard may be or not", () => {
    const history = historyOf(intent(1, "order1"), intent(2), intent(3), intent(4, "order3"));
    expect(violations(history, [stored(1, "order1"), stored(2, "order2"), stored(4, "order3")])).toEqual([]);
  });

  test.each([
    ["lost", historyOf(intent(1, "order1")), [], "is lost"],
    ["doubled", historyOf(intent(1, "order1")), [stored(1, "order1"), stored(1, "order2")], "2 times: order1, order2"],
    ["doubled and unheard of", historyOf(intent(1)), [stored(1, "order1"), stored(1, "order2")], "2 times"],
    ["another", historyOf(intent(1, "order1")), [stored(1, "order2")], "and is order2"],
    ["invented", historyOf(), [stored(1, "order1")], "nobody asked for it"],
    ["listed twice", historyOf(intent(1, "order1")), [stored(1, "order1"), stored(1, "order1")], "listed twice"],
  ])("finds an order that is %s", (_, history, orders, found) => {
    expect(violations(history, orders).join("; ")).toContain(found);
  });

  test("takes the value that a share does not exceed", () => {
    expect([0.5, 0.99, 1].map((share) => quantile([4, 1, 3, 2], share))).toEqual([2, 4, 4]);
  });
});

test("of orders placed while each service is killed again and again, none is lost, doubled or invented", async () => {
  const kills: ServiceName[] = [...serviceNames, ...serviceNames.toReversed()];
  const report = await killUnderLoad({ kills, random: makeRandom(6), customers: 4, pauseMs: 200 });
  expect(report.violations).toEqual([]);
  expect(report.kills.map(({ service }) => service)).toEqual(kills);
  // Every one of them was noticed, and none for good.
  expect([...report.history.errors.keys()]).toContain("unavailable");
  expect(report.history.intents.every(({ acknowledged }) => acknowledged)).toBe(true);
  expect(report.history.intents.length).toBeGreaterThan(kills.length * 4);
});
