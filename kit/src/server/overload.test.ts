import { expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { makeDesk } from "../testing/desk.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";

const { turnsPerSessionMax } = edgeLimits;
const stepMs = 30;

/** A desk of virtual time behind a real socket, that answers all it has begun at each step. */
async function setUp(rig: Rig) {
  const clock = makeVirtualClock();
  const desk = makeDesk(clock);
  const server = await rig.serve({ main: desk.mainFor, clock });
  const running = () => desk.calls.filter((name) => name === "hang").length;
  const step = async () => {
    await clock.advance(stepMs);
    desk.answerAll();
    await clock.settle();
  };
  return { clock, desk, server, running, step };
}

async function open(rig: Rig, url: string) {
  const { socket } = await openRawSocket(rig, url);
  const answered: number[] = [];
  const refused: { code: string; reason: string; retryAfterMs: number }[] = [];
  let calls = 0;
  socket.on("message", (data) => {
    const [operation, id, value] = JSON.parse(String(data)) as [string, number, unknown];
    if (operation === "resolve") answered.push(id);
    else refused.push((value as [string, string, string, null, (typeof refused)[0]])[4]);
    socket.send(JSON.stringify(["release", id, 1]));
  });
  const call = (method: string, args: unknown[], count = 1) => {
    for (let n = 0; n < count; n += 1) {
      calls += 1;
      socket.send(JSON.stringify(["push", ["pipeline", 0, [method], args]]));
      socket.send(JSON.stringify(["pull", calls]));
    }
  };
  return { answered, refused, call };
}

test("a burst waits for its turns, and is answered", async () => {
  await using rig = makeRig();
  const { server, running, step } = await setUp(rig);
  const { answered, refused, call } = await open(rig, server.url);
  const count = 10 * turnsPerSessionMax;
  call("hang", [], count);
  await until(() => running() === turnsPerSessionMax && server.stats().exports === count + 1, "all have arrived");
  for (let n = 0; n < 10; n += 1) await step();
  await until(() => answered.length === count, "all are answered");
  expect(refused).toEqual([]);
  expect(server.busyness()).toMatchObject({ isOverloaded: false, shed: 0 });
});

test("what stands in a queue that does not go away is refused, and says when to come again; what is new is not", async () => {
  await using rig = makeRig();
  const { server, running, step } = await setUp(rig);
  const { answered, refused, call } = await open(rig, server.url);
  const count = 100 * turnsPerSessionMax;
  call("hang", [], count);
  await until(() => running() === turnsPerSessionMax && server.stats().exports === count + 1, "all have arrived");
  for (let n = 0; n < 100 && refused.length === 0; n += 1) await step();
  await step();
  await until(() => answered.length + refused.length === count, "each is answered or refused");
  expect(refused.length).toBeGreaterThan(count / 5);
  expect(answered.length).toBeGreaterThan(10 * turnsPerSessionMax);
  expect(refused[0]).toMatchObject({ code: "resource_exhausted", reason: "overloaded", retryAfterMs: 500 });
  expect(server.busyness().shed).toBe(refused.length);
  const before = answered.length;
  call("add", [1, 2]);
  await until(() => answered.length === before + 1, "what did not wait is answered");
});
