import { describe, expect, test } from "vitest";
import { stockVersions } from "../../../tests/stock-versions.ts";
import { until } from "../testing/until.ts";
import { makeRawPeer } from "./fixtures/raw-peer.ts";
import { OurStockMain, playWithStockServer, recordStockSession } from "./fixtures/recording.ts";

describe.each(stockVersions)("what a client of stock $version says is accepted", async (stock) => {
  const recordings = await recordStockSession(stock);
  const names = Object.keys(recordings).filter((name) => !name.startsWith("the end"));

  test.each(names)("%s", async (name) => {
    const { client = [], server = [] } = recordings[name] ?? {};
    expect(client.length + server.length).toBeGreaterThan(1);
    const peer = makeRawPeer({ framing: "capnweb", makeMain: () => new OurStockMain() });
    for (const message of client) await peer.say(message);
    expect(peer.closes).toEqual([]);
    expect(peer.heard.map(([operation]) => operation)).not.toContain("abort");
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
  });

  test.each(names)("and answered with what a stock server says: %s", async (name) => {
    const { client = [], server = [] } = recordings[name] ?? {};
    const peer = makeRawPeer({ framing: "capnweb", makeMain: () => new OurStockMain() });
    for (const message of client) await peer.say(message);
    const answers = (messages: readonly unknown[]) =>
      (messages as unknown[][])
        .filter(([operation]) => operation === "resolve")
        .sort((a, b) => Number(a[1]) - Number(b[1]));
    // An error within a value leaves us without what it says.
    if (name.startsWith("an error")) expect(answers(peer.heard)).toHaveLength(answers(server).length);
    else expect(answers(peer.heard)).toEqual(answers(server));
  });

  test("the end, which it says too", async () => {
    const { client = [] } = recordings["the end, because the client sent what the server cannot take"] ?? {};
    const peer = makeRawPeer({ framing: "capnweb", makeMain: () => new OurStockMain() });
    for (const message of client) await peer.say(message);
    expect(await peer.session.closed).toBeDefined();
  });

  test("every operation and every expression that we accept was said", () => {
    const said = JSON.stringify(recordings);
    const operations = ["push", "pull", "resolve", "reject", "release", "abort"];
    const expressions = ["pipeline", "import", "export", "error", "bigint", "date", "bytes", "undefined"];
    const newer = stock.carries(new URL("http://x/y")) ? ["url"] : [];
    for (const word of [...operations, ...expressions, ...newer, "inf", "-inf", "nan"])
      expect(said).toContain(`["${word}"`);
  });
});

describe.each(stockVersions)("a server of stock $version", (stock) => {
  test("takes what a client of ours says, and its answers are accepted; nothing is left", async () => {
    const played: string[] = [];
    await playWithStockServer(stock, async (name, session) => {
      await until(
        () => session.stats().imports === 1 && session.stats().exports === 1,
        () => `${name}: ${JSON.stringify(session.stats())}`,
      );
      played.push(name);
    });
    expect(played.length).toBeGreaterThan(8);
  });
});
