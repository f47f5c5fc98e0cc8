import { describe, expect, test } from "vitest";
import { choices, type Shelf, startStockServer } from "../../../tests/stock-server.ts";
import { newestStock, stockVersions } from "../../../tests/stock-versions.ts";
import { connect as connectPage } from "../browser/connect.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { openBatch } from "./batch-client.ts";
import type { Connection } from "./connection.ts";

/** Ends with the rig. */
async function serveStock(rig: Rig, ...[version, options]: Parameters<typeof startStockServer>) {
  const server = await startStockServer(version, options);
  rig.onEnd(() => server[Symbol.asyncDispose]());
  return server;
}

const servers = stockVersions.flatMap((stock) =>
  choices.map(([what, options, subprotocol]) => ({ stock, what, options, subprotocol })),
);
const clients: [string, (rig: Rig, url: string) => Connection<Shelf>][] = [
  ["connect", (rig, url) => rig.connect<Shelf>({ url })],
  [
    "connect of a browser",
    (rig, url) => {
      const connection = connectPage<Shelf>({ name: "stock", url });
      rig.onEnd(() => connection.close());
      return connection;
    },
  ],
];

describe.each(servers)("a server of stock $stock.version that $what", ({ stock, options, subprotocol }) => {
  test.each(clients)("is called by %s, several times in one turn", async (_, makeClient) => {
    await using rig = makeRig();
    const { url, chosen } = await serveStock(rig, stock, options);
    const shelf = makeClient(rig, url);
    // A browser does not tell why it refuses a server, so the attempt that succeeds may be the second.
    shelf.opened().catch(() => {});
    await until(() => shelf.isOpen, "it is connected");
    using drawer = shelf.main.open();
    const sums = [1, 2, 3].map((n) => shelf.main.add(n, n));
    expect(await Promise.all([...sums, drawer.count()].map(outcome))).toEqual([2, 4, 6, 3]);
    expect(await outcome(drawer.count())).toBe(3);
    expect(new Set(chosen)).toEqual(new Set([subprotocol]));
  });
});

test("a page whose first attempt failed offers our subprotocol again when its session has ended", async () => {
  await using rig = makeRig();
  const offers: boolean[] = [];
  const server = await serveStock(rig, newestStock, {
    verifyClient({ req }, answer) {
      offers.push(req.headers["sec-websocket-protocol"] !== undefined);
      answer(offers.length > 1, 503);
    },
  });
  const shelf = connectPage<Shelf>({ name: "home", url: server.url });
  rig.onEnd(() => shelf.close());
  for (const sessionNumber of [1, 2]) {
    shelf.opened().catch(() => {});
    await until(() => shelf.isOpen && shelf.sessionNumber === sessionNumber, `session ${sessionNumber}`);
    server.cut();
  }
  expect(offers).toEqual([true, false, true]);
});

test.each(stockVersions)("a server of stock $version is called by a batch", async (stock) => {
  await using rig = makeRig();
  const { url } = await serveStock(rig, stock);
  using batch = openBatch<Shelf>({ url });
  const { main } = batch;
  expect(await Promise.all([main.add(1, 2), main.open().count()].map(outcome))).toEqual([3, 3]);
});
