import { expect, test } from "vitest";
import type { FlotillaError } from "../base/errors.ts";
import { anonymous } from "../base/peer.ts";
import { attenuate } from "../capability/attenuate.ts";
import { expose } from "../capability/boundary.ts";
import { contract } from "../capability/contract.ts";
import { makeRawPeer, type RawPeer } from "./fixtures/raw-peer.ts";
import { type RpcStub, RpcTarget } from "./stub.ts";

interface Thing extends RpcTarget {
  name(): string;
}
interface Giver extends RpcTarget {
  give(): Thing;
}
const ThingContract = contract<Thing>("Thing", { name: { params: [] } });

const mainOf = (peer: RawPeer) => peer.session.remoteMain as unknown as RpcStub<Giver>;
const errorOf = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    () => undefined,
    (error: FlotillaError) => error,
  );

/** A capability of `peer`'s, which is named. */
async function obtain(peer: RawPeer): Promise<RpcStub<Thing>> {
  const given = Promise.resolve(mainOf(peer).give());
  await peer.clock.settle();
  await peer.say(["resolve", 1, ["export", -1]]);
  return (await given) as unknown as RpcStub<Thing>;
}

test("what was held of a session that is over is lost for good, its main object only away", async () => {
  const peer = makeRawPeer({ callers: { keepCallers: false, peerName: "home" } });
  const held = await obtain(peer);
  const heard: FlotillaError[] = [];
  held.onRpcBroken((error: unknown) => heard.push(error as FlotillaError));
  peer.cut();
  await peer.clock.settle();
  const lost = { code: "unavailable", reason: "capability_lost", retryable: false };
  expect(heard).toMatchObject([lost]);
  expect(await errorOf(held.name())).toMatchObject({ ...lost, message: expect.stringMatching(/^home is gone/) });
  const away = await errorOf(mainOf(peer).give());
  expect([away?.code, away?.reason]).toEqual(["unavailable", undefined]);
});

test("a listener hears nothing of what its own holder disposed", async () => {
  const peer = makeRawPeer();
  const heard: unknown[] = [];
  const held = await obtain(peer);
  held.onRpcBroken((error: unknown) => heard.push(error));
  held[Symbol.dispose]();
  const pending = mainOf(peer).give() as unknown as RpcStub<Thing>;
  pending.onRpcBroken((error: unknown) => heard.push(error));
  pending[Symbol.dispose]();
  await peer.clock.settle();
  peer.cut();
  await peer.clock.settle();
  expect(heard).toEqual([]);
});

test("a peer to whom it was passed on is told, behind a boundary too, and after it was given", async () => {
  const home = makeRawPeer();
  const held = await obtain(home);
  class Relay extends RpcTarget {
    bare() {
      return held.dup();
    }
    guarded() {
      return expose(ThingContract, held.dup() as never, { peer: anonymous });
    }
    attenuated() {
      const less = attenuate(ThingContract, attenuate(ThingContract, held, { times: 9 }), { only: ["name"] });
      return expose(ThingContract, less, { peer: anonymous });
    }
  }
  const peer = makeRawPeer({ makeMain: () => new Relay() });
  const ask = (name: string, id: number) => peer.say(["push", ["pipeline", 0, [name], []]], ["pull", id]);
  await ask("bare", 1);
  await ask("guarded", 2);
  await ask("attenuated", 3);
  for (const id of [1, 2, 3]) expect(peer.answerTo(id)).toEqual(["resolve", id, ["export", -id]]);
  home.cut();
  await home.clock.settle();
  await peer.clock.settle();
  for (const id of [-1, -2, -3]) expect(JSON.stringify(peer.answerTo(id))).toContain("capability_lost");
  await ask("bare", 4);
  const order = peer.heard.map(([operation, id]) => `${operation} ${id}`);
  expect(order.slice(-2)).toEqual(["resolve 4", "reject -4"]);
});
