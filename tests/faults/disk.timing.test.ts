import { connect } from "@flotilla/kit";
import { expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import { startProcesses, until } from "../process-harness.ts";
import { sendCustomers } from "./customers.ts";
import { violations } from "./history.ts";
import { canMount, mountSmallDisk } from "./small-disk.ts";

/** Room for some thousand orders: the journal alone grows to 4 MiB before it is used again. Bytes. */
const diskBytes = 16 * 2 ** 20;
/** Within which the shop takes orders again once there is room. Milliseconds. */
const resumedMsMax = 5_000;

test.skipIf(!canMount)("a full disk refuses orders, reads go on, and with room again nothing was lost", async () => {
  using disk = mountSmallDisk(diskBytes);
  await using shop = await startProcesses({ dataParent: disk.path });
  using customers = await sendCustomers(shop.urls.gateway, 4);
  using reader = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  const { history } = customers;
  const { token } = await reader.main.login("bob", "password");
  const pid = shop.pidOf("orders");
  for (let round = 1; round <= 3; round += 1) {
    const acknowledged = () => history.intents.filter((it) => it.acknowledged).length;
    const before = acknowledged();
    await until(() => acknowledged() > before, "an order is acknowledged");
    disk.fill();
    const refusals = () => history.errors.get("unavailable") ?? 0;
    const known = refusals();
    // All of them, again and again; and what is there can be read.
    await until(() => refusals() > known + 20, "orders are refused");
    const [first] = await reader.main.listOrders(token, { limit: 1 });
    expect(first).toMatchObject({ status: "pending" });
    await until(async () => !(await isReady(shop.urls.orders)), "it says that it cannot take orders");
    const begun = history.intents.length;
    disk.free();
    const freedAtMs = performance.now();
    await until(() => history.intents.slice(begun).some((it) => it.acknowledged), "an order is placed with room again");
    expect(performance.now() - freedAtMs).toBeLessThan(resumedMsMax);
  }
  await until(() => isReady(shop.urls.orders), "it takes orders again");
  await customers.finish();
  expect([...history.errors.keys()]).toEqual(["unavailable"]);
  expect(violations(history, await customers.stored())).toEqual([]);
  expect(shop.pidOf("orders")).toBe(pid);
  // Opening reads the whole file and refuses one that is damaged.
  await shop.stop("orders");
  await shop.start("orders");
  await shop.ready();
  expect(violations(history, await customers.stored())).toEqual([]);
});
