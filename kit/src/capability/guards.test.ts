import { Type } from "typebox";
import { expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import type { AnsweredCall } from "../base/observer.ts";
import { anonymous } from "../base/peer.ts";
import { makeTurns } from "../resilience/turns.ts";
import { makeRawPeer, type RawPeer, rejection } from "../rpc/fixtures/raw-peer.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { expose } from "./boundary.ts";
import { arg, contract } from "./contract.ts";
import { makeRevoker, revocable } from "./revoker.ts";

interface Desk extends RpcTarget {
  wait(): void;
  add(a: number): number;
}
const DeskContract = contract<Desk>("Desk", {
  wait: { params: [] },
  add: { params: [arg("a", Type.Number())] },
});

/** A desk behind its boundary, whose session runs one call at once. */
function setUp() {
  const clock = makeVirtualClock();
  const revoker = makeRevoker();
  const done = Promise.withResolvers<void>();
  const answered: AnsweredCall[] = [];
  const added: number[] = [];
  const desk = revocable(
    {
      wait: () => done.promise,
      add(a: number) {
        added.push(a);
        return a + 1;
      },
    },
    revoker,
  );
  const turns = makeTurns({ ...edgeLimits, turnsPerSessionMax: 1 }, clock).join();
  const env = { peer: anonymous, turns, onAnswered: (call: AnsweredCall) => void answered.push(call) };
  // A peer of the service's own making: nothing is found by which object it is.
  const main = () => expose(DeskContract, desk, { peer: { ...anonymous } });
  const peer: RawPeer = makeRawPeer({ makeMain: main, clock, env });
  const ask = (method: string, ...args: unknown[]) => ["push", ["pipeline", 0, [method], args]];
  return { ...peer, clock, revoker, done, answered, added, ask };
}

test("a call is counted by contract, method, time and code, whatever became of it", async () => {
  const { say, ask, clock, done, answered, revoker } = setUp();
  await say(ask("wait"), ask("add", "no number"));
  await clock.advance(30);
  done.resolve();
  await clock.settle();
  revoker.revoke();
  await say(ask("add", 1));
  expect(answered).toEqual([
    { contract: "Desk", method: "wait", ms: 30, code: undefined },
    { contract: "Desk", method: "add", ms: 30, code: "invalid_argument" },
    { contract: "Desk", method: "add", ms: 0, code: "permission_denied" },
  ]);
});

test("a call that is refused gives its turn back", async () => {
  const { say, ask, answerTo, done } = setUp();
  done.resolve();
  await say(ask("add", "no number"), ask("wait"), ask("add", 1), ["pull", 3]);
  expect(answerTo(3)).toEqual(["resolve", 3, 2]);
});

test("authority is asked for after the wait for a turn, and before a word about the arguments", async () => {
  const { say, ask, answerTo, clock, done, revoker, added } = setUp();
  await say(ask("wait"), ask("add", "no number"), ["pull", 2]);
  revoker.revoke();
  done.resolve();
  await clock.settle();
  expect(answerTo(2)).toEqual(rejection(2, { code: "permission_denied", reason: "revoked" }));
  expect(added).toEqual([]);
});

test("the deadline is looked at after the wait for a turn", async () => {
  const { say, ask, clock, done, added } = setUp();
  const soon = { tp: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, ms: 50, via: [] };
  await say(ask("wait"), soon, ask("add", 1));
  await clock.advance(50);
  done.resolve();
  await clock.settle();
  expect(added).toEqual([]);
});
