import { expect, test } from "vitest";
import * as limits from "./limits.ts";

const { edgeLimits, linkLimits } = limits;
const single = Object.entries(limits).filter(([, value]) => typeof value === "number") as [string, number][];

test("every limit is a positive whole number, and its name ends in its unit or in max", () => {
  const all = [...single, ...Object.entries(edgeLimits), ...Object.entries(linkLimits)];
  expect(all.length).toBeGreaterThan(25);
  // Between services turns, waits, rates, age and number of sessions are open, and what counts strangers; nothing else is,
  // and nothing at the edge.
  const open = Object.entries(linkLimits).filter(([, value]) => value === Number.POSITIVE_INFINITY);
  expect(open.map(([name]) => name)).toEqual([
    "turnsPerSessionMax",
    "turnsPerAddressMax",
    "waitingCallsMax",
    "overloadWaitMsMax",
    "messagesPerSecondMax",
    "messagesPerTurnMax",
    "sessionIdleMsMax",
    "sessionAgeMsMax",
    "network56TimesMax",
    "network48TimesMax",
    "connectionsPerAddressMax",
    "readingMsPerSecondMax",
    "readingBurstMsMax",
    "unreadMessagesMax",
    "pipelinedRequestsMax",
    "controlFramesPerSecondMax",
    "controlFramesBurstMax",
    "hellosPerSecondMax",
    "hellosBurstMax",
    "sessionsPerAddressMax",
    "sessionsPerSecondMax",
    "sessionsBurstMax",
  ]);
  const isOpen = (entry: [string, number]) => open.some(([name, value]) => name === entry[0] && value === entry[1]);
  expect(all.filter((entry) => (!Number.isSafeInteger(entry[1]) || entry[1] < 1) && !isOpen(entry))).toEqual([]);
  expect(all.filter(([name]) => !/(Max|Ms|MsDefault)$/.test(name))).toEqual([]);
});

test("the edge is nowhere wider than a link between services", () => {
  const names = Object.keys(edgeLimits) as (keyof limits.Limits)[];
  expect(names.filter((name) => edgeLimits[name] > linkLimits[name])).toEqual([]);
});

test("what one of us sends, another of us takes", () => {
  // A frame of the size at which we stop filling it, in characters of 3 bytes, fits even at the edge.
  expect(edgeLimits.frameBytesMax).toBeGreaterThanOrEqual(3 * 64 * 1024);
  expect(edgeLimits.sendBufferBytesMax).toBeGreaterThan(edgeLimits.frameBytesMax);
  expect(linkLimits.sendBufferBytesMax).toBeGreaterThan(linkLimits.frameBytesMax);
  expect(limits.batchBytesMax).toBeLessThanOrEqual(edgeLimits.frameBytesMax);
});

test("capnweb's own bounds are wider than ours, so that ours answer first", () => {
  expect(linkLimits.messageDepthMax).toBeLessThan(256);
  expect(linkLimits.frameBytesMax).toBeLessThan(32 * 1024 * 1024);
});

test("a link carries the introductions of everybody who is logged in", () => {
  expect(linkLimits.outstandingCallsMax).toBeGreaterThan(limits.depositsPerPeerMax);
  // And of those who hold as many capabilities as they may: what is refused is a call, and not the link.
  expect(linkLimits.outstandingCallsMax).toBeGreaterThan(limits.depositsPerPeerMax + linkLimits.capabilitiesMax);
  expect(edgeLimits.outstandingCallsMax).toBeGreaterThan(edgeLimits.capabilitiesMax);
});

test("times fit into each other", () => {
  expect(limits.deadlineMsDefault).toBeLessThanOrEqual(limits.deadlineMsMax);
  expect(limits.pongMsMax).toBeLessThan(limits.pingIntervalMs);
  expect(limits.clockSkewMsMax).toBeLessThan(limits.helloMsMax);
  expect(limits.parkMsMax).toBeLessThan(limits.deadlineMsDefault);
  expect(limits.introductionMsDefault).toBeLessThanOrEqual(limits.introductionMsMax);
});
