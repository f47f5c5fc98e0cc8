import { once } from "node:events";
import { expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { makeDesk } from "../testing/desk.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig } from "../testing/rig.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";

test("a session ends at its greatest age, however much it says", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const edge = { ...edgeLimits, sessionIdleMsMax: 1_000, sessionAgeMsMax: 5_000 };
  const { url, stats } = await rig.serve({ main: makeDesk().mainFor, edge, clock });
  const { socket } = await openRawSocket(rig, url);
  const closed = once(socket, "close");
  for (let n = 1; n <= 10; n += 1) {
    const answered = once(socket, "message");
    socket.send('["push",["pipeline",0,["add"],[1,2]]]');
    socket.send(`["pull",${n}]`);
    await answered;
    expect(stats().sessions).toBe(1);
    await clock.advance(500);
  }
  expect((await closed)[0]).toBe(1001);
  expect(stats().sessions).toBe(0);
});
