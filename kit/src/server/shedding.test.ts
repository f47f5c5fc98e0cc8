import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { makeDesk } from "../testing/desk.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";

const edge = { ...edgeLimits, messagesPerTurnMax: 1 };
const push = '["push",["pipeline",0,["add"],[1,2]]]';
/** Virtual time between two steps, in each of which the event loop goes round some sixteen times. */
const stepMs = 50;
/** A message that waits behind one of each of them waits for several steps. */
const sessions = 40;
const callsEach = 100;

async function setUp(rig: Rig) {
  const clock = makeVirtualClock();
  const server = await rig.serve({ main: makeDesk(clock).mainFor, clock, edge, trustedProxies: ["127.0.0.1"] });
  const step = async () => {
    await clock.advance(stepMs);
    await nextTurn();
  };
  return { clock, server, step };
}

/** A session of whoever the proxy says it is. */
const open = (rig: Rig, url: string, address: string) =>
  openRawSocket(rig, url, { headers: { "x-forwarded-for": address } });

test.each([
  ["one address in many sessions", () => "198.51.100.1"],
  ["many addresses", (n: number) => `198.51.100.${n + 1}`],
])("a backlog of %s is shed, and an address that has none is served", async (_, addressOf) => {
  await using rig = makeRig();
  const { server, step } = await setUp(rig);
  const crowd = await Promise.all(Array.from({ length: sessions }, (_, n) => open(rig, server.url, addressOf(n))));
  const { socket, heard } = await open(rig, server.url, "192.0.2.7");
  for (const { socket: one } of crowd) for (let n = 0; n < callsEach; n += 1) one.send(push);
  while (server.busyness().shed === 0) await step();
  for (let n = 1; n <= 5; n += 1) {
    const shedBefore = server.busyness().shed;
    socket.send(push);
    socket.send(`["pull",${n}]`);
    while (heard.length < n) await step();
    expect(heard.at(-1)).toBe(`["resolve",${n},3]`);
    // The backlog stood all the while.
    expect(server.busyness().shed).toBeGreaterThan(shedBefore);
    socket.send(`["release",${n},1]`);
  }
  for (const { socket: one } of crowd) one.terminate();
  // Each goes when what it had sent has been read, which takes time.
  while (server.stats().sessions > 1) await step();
});
