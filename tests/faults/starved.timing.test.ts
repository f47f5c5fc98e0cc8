import { setTimeout as sleep } from "node:timers/promises";
import { connectAll } from "@flotilla/kit";
import { expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { startPostgres, whyNoPostgres } from "../postgres.ts";
import { until } from "../process-harness.ts";
import { startInstances } from "./instances.ts";
import { sendOrderers } from "./orderers.ts";
import { starve } from "./starve.ts";

/** What is left of its time to who is starved. */
const share = 0.2;
const starvedMs = 3_000;

test.skipIf(whyNoPostgres)(
  "two instances of each service that get a fifth of their time are slow, and none of them is given up",
  async () => {
    await using postgres = await startPostgres();
    await using shop = await startInstances({ count: 2, env: postgres.stores() });
    using gateway = connectAll<Gateway>({ name: "gateway", urls: shop.urlsOf("gateway") });
    await gateway.opened();
    const orderers = await sendOrderers(gateway, 4);
    const { token } = await gateway.call((main) => main.login("alice", "password"));
    /** Of users and of orders, as one of the gateways sees it: connected, and with no breaker that is not closed. */
    const asked = async () => {
      const { destinations } = await gateway.call((main) => main.status(token));
      return destinations.map(
        ({ instances }) =>
          instances.filter(({ isOpen, breakers }) => isOpen && Object.values(breakers).every((it) => it === "closed"))
            .length,
      );
    };
    await until(async () => `${await asked()}` === "2,2", "both of each are connected");
    await orderers.more();

    const seen: number[][] = [];
    {
      using _ = starve(
        [0, 1].flatMap((index) => [shop.pidOf("users", index), shop.pidOf("orders", index)]),
        share,
      );
      const endMs = performance.now() + starvedMs;
      while (performance.now() < endMs) {
        seen.push(await asked());
        await sleep(50);
      }
      await orderers.more();
    }
    // Half of them at least, at every moment.
    for (const counts of seen) for (const count of counts) expect(count).toBeGreaterThanOrEqual(1);
    await orderers.more();
    expect(await orderers.finish()).toEqual([]);
    expect([...orderers.failed]).toEqual([]);
  },
);
