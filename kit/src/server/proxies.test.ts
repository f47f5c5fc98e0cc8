import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import type { Peer } from "../base/peer.ts";
import { makeDesk } from "../testing/desk.ts";
import { ask } from "../testing/http.ts";
import { makeRig } from "../testing/rig.ts";
import { isAddressRange, makeProxies } from "./proxies.ts";

const request = (remoteAddress: string | undefined, forwarded?: string) =>
  ({ socket: { remoteAddress }, headers: { "x-forwarded-for": forwarded } }) as unknown as IncomingMessage;

describe("the address of a client", () => {
  const trusted = ["10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1"];

  test.each([
    ["is the socket's when that is nobody trusted, whatever it says", "192.0.2.1", "198.51.100.1", "192.0.2.1"],
    ["is what a trusted proxy heard", "10.0.0.1", "198.51.100.1", "198.51.100.1"],
    ["is not what somebody told the first trusted proxy", "10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"],
    ["is found behind a row of trusted proxies", "127.0.0.1", "1.2.3.4, 198.51.100.1, 10.9.9.9", "198.51.100.1"],
    ["is a trusted proxy's own when it speaks for itself", "10.0.0.1", undefined, "10.0.0.1"],
    ["is the last that is known when the list holds no address", "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"],
    ["may have a port", "10.0.0.1", "198.51.100.1:4711", "198.51.100.1"],
    ["may be of IPv6, with a port too", "2001:db8:1::7", "[2001:db8:2::1]:4711", "2001:db8:2::1"],
    [
      "is the same in the spelling of a socket of both families",
      "::ffff:10.0.0.1",
      "::ffff:198.51.100.1",
      "198.51.100.1",
    ],
    ["is unknown at a Unix socket", undefined, "198.51.100.1", ""],
  ])("%s", (_, socket, forwarded, expected) => {
    expect(makeProxies(trusted).addressOf(request(socket, forwarded))).toBe(expected);
  });

  test("is looked for in the last sixteen stations only", () => {
    const long = ["198.51.100.1", ...Array.from({ length: 16 }, () => "10.0.0.2")].join(", ");
    expect(makeProxies(trusted).addressOf(request("10.0.0.1", long))).toBe("10.0.0.2");
  });

  test("is the socket's where nobody is trusted", () => {
    expect(makeProxies().addressOf(request("10.0.0.1", "198.51.100.1"))).toBe("10.0.0.1");
  });

  test("needs proxies that are addresses or ranges", () => {
    for (const wrong of ["", "proxy", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "2001:db8::/129", "10.0.0/8"]) {
      expect(() => makeProxies([wrong]), wrong).toThrow(TypeError);
      expect(isAddressRange(wrong)).toBe(false);
    }
    expect(isAddressRange("10.0.0.0/8")).toBe(true);
  });
});

test("clients of a trusted proxy have places of their own, and one of them cannot take another's name", async () => {
  await using rig = makeRig();
  const peers: Peer[] = [];
  const desk = makeDesk();
  const main = (peer: Peer) => {
    peers.push(peer);
    return desk.mainFor(peer);
  };
  const { url } = await rig.serve({ main, trustedProxies: ["127.0.0.0/8"] });
  const body = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';
  for (const forwarded of ["198.51.100.1", "198.51.100.2", "198.51.100.1, 198.51.100.3"]) {
    await ask(`${url}/rpc/batch`, { headers: { "x-forwarded-for": forwarded }, body });
  }
  const networks = peers.map((peer) => peer.kind === "anonymous" && peer.network);
  expect(networks).toEqual(["198.51.100.1", "198.51.100.2", "198.51.100.3"]);
});
