import { connectAll, openDirectory } from "@flotilla/kit";
import { expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { serviceNames } from "../../shop/topology.ts";
import { keysIn, startEtcd, whyNoEtcd } from "../etcd.ts";
import { startPostgres, whyNoPostgres } from "../postgres.ts";
import { until, untilEqual } from "../process-harness.ts";
import { startInstances } from "./instances.ts";
import { sendOrderers } from "./orderers.ts";

const why = whyNoEtcd ?? whyNoPostgres;
const count = 2;

test.skipIf(why)(
  `services that find each other by etcd go on while it is down, and an instance that is killed costs no order${why ? ` (${why})` : ""}`,
  { timeout: 180_000 },
  async () => {
    await using etcd = await startEtcd();
    await using postgres = await startPostgres();
    const place = `etcd+${etcd.url}/shop`;
    const env = { ...postgres.stores(), FLOTILLA_REGISTER: place };
    await using shop = await startInstances({ count, env, placeOf: (name) => `${place}/${name}` });
    using gateway = connectAll<Gateway>({ name: "gateway", directory: openDirectory(`${place}/gateway`) });
    await gateway.opened();
    await until(() => gateway.openCount === count, "both gateways are open");
    const orderers = await sendOrderers(gateway, 4);
    await orderers.more();

    await etcd.stop();
    await orderers.more();
    await orderers.more();
    expect(gateway.openCount).toBe(count);
    // Without anything that it knew; each writes itself down again.
    await etcd.start({ isEmpty: true });
    await until(async () => (await keysIn(etcd).list()).length === serviceNames.length * count, "all are registered");
    await orderers.more();
    expect([...orderers.failed]).toEqual([]);
    expect(gateway.stats().repeated).toBe(0);

    const { token } = await gateway.call((main) => main.login("alice", "password"));
    const known = async () => {
      const { destinations } = await gateway.call((main) => main.status(token));
      return destinations.map(({ name, instances }) => `${name} ${instances.map(({ url }) => url).sort()}`).sort();
    };
    await shop.kill("orders", 0);
    await shop.kill("users", 0);
    await orderers.more();
    // Each gateway is asked in turn, and says what it knows.
    const left = [`orders ${shop.urlsOf("orders")[1]}`, `users ${shop.urlsOf("users")[1]}`];
    for (let n = 0; n < count * 4; n += 1) await untilEqual(known, left);
    expect(await keysIn(etcd).list()).toHaveLength(serviceNames.length * count - 2);
    await orderers.more();
    expect(await orderers.finish()).toEqual([]);
    expect([...orderers.failed]).toEqual([]);
  },
);
