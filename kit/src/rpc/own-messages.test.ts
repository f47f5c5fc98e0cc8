import { describe, expect, test } from "vitest";
import { call, expectAlive, expectEnded, makeRawPeer, violated } from "./fixtures/raw-peer.ts";

describe("between two of ours", () => {
  const awaited = ["call", ["pipeline", 0, ["f"], []]];

  test("one message makes a call and awaits it", async () => {
    const peer = makeRawPeer();
    await peer.say(awaited, call(), awaited);
    expect(peer.heard).toEqual([
      ["resolve", 1, "done"],
      ["resolve", 3, "done"],
    ]);
    await expectAlive(peer, 4);
  });

  test("one that names nothing to call ends the session", async () => {
    const peer = makeRawPeer();
    await peer.say(["call"]);
    await expectEnded(peer, violated);
  });

  test("one message lets go of several calls, whose results end in its order", async () => {
    const peer = makeRawPeer();
    const self = ["push", ["pipeline", 0, ["self"], []]];
    await peer.say(self, self, self, ["release", [1, 3]]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 2 });
    await peer.say(["release", []], ["release", [2]]);
    await expectAlive(peer, 4);
  });

  test.each<[string, unknown[]]>([
    ["in one message", [["release", [1, 1]]]],
    [
      "in two messages of a frame",
      [
        ["release", [1]],
        ["release", 1, 1],
      ],
    ],
    ["with a count", [["release", [1], 1]]],
  ])("the same call twice %s ends the session", async (_, messages) => {
    const peer = makeRawPeer();
    await peer.say(call(), call());
    await peer.say(...messages);
    await expectEnded(peer, violated);
  });

  test.each([[awaited], [["release", [1]]]])("a stock peer does not say %j", async (message) => {
    const peer = makeRawPeer({ framing: "capnweb" });
    await peer.say(call());
    await peer.say(message);
    await expectEnded(peer, violated);
  });
});
