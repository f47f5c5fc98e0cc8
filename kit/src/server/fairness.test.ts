import { request } from "node:http";
import { describe, expect, test } from "vitest";
import { edgeLimits, turnMsMax } from "../base/limits.ts";
import { makeDesk } from "../testing/desk.ts";
import { ask } from "../testing/http.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";

const call = (method: string, args: unknown[] = []) => JSON.stringify(["push", ["pipeline", 0, [method], args]]);
const pull = (id: number) => JSON.stringify(["pull", id]);
const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));
const { turnsPerSessionMax, turnsPerAddressMax, messagesPerTurnMax } = edgeLimits;

/** A desk behind real sockets, on virtual time, so that no call is ever slow. */
async function setUp(rig: Rig) {
  const clock = makeVirtualClock();
  const desk = makeDesk(clock);
  const server = await rig.serve({ main: desk.mainFor, clock });
  const running = (method: string) => desk.calls.filter((name) => name === method).length;
  return { clock, desk, url: server.url, running, stats: server.stats };
}

async function open(rig: Rig, url: string) {
  const { socket, heard } = await openRawSocket(rig, url);
  const send = (...messages: string[]) => {
    for (const message of messages) socket.send(message);
  };
  return { socket, heard, send };
}

describe("a session that asks for much", () => {
  test("has so many calls running, and the others wait for them", async () => {
    await using rig = makeRig();
    const { desk, url, running } = await setUp(rig);
    const { send, heard } = await open(rig, url);
    send(...times(100, () => call("hang")), ...times(100, (index) => pull(index + 1)));
    await until(() => running("hang") === turnsPerSessionMax, "its share runs");
    for (let answered = 0; answered < 100; ) {
      desk.answerAll();
      answered = Math.min(100, answered + turnsPerSessionMax);
      await until(() => heard.length === answered, `${answered} answers`);
      expect(running("hang")).toBe(Math.min(100, answered + turnsPerSessionMax));
    }
    expect(new Set(heard)).toEqual(new Set(times(100, (index) => JSON.stringify(["resolve", index + 1, "answered"]))));
    send(...times(100, (index) => JSON.stringify(["release", index + 1, 1])));
  });

  test("has nothing begun for it any more once it is over, though its socket is not closed yet", async () => {
    await using rig = makeRig();
    const { desk, url, running } = await setUp(rig);
    const { socket, send } = await open(rig, url);
    send(...times(turnsPerSessionMax + 5, () => call("hang")));
    await until(() => running("hang") === turnsPerSessionMax, "its share runs");
    // The server's word that it closes goes unanswered.
    socket.pause();
    send("no message");
    await until(() => desk.live() === 0, "the session is over");
    expect(desk.calls).toHaveLength(turnsPerSessionMax);
    desk.answerAll();
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(desk.calls).toHaveLength(turnsPerSessionMax);
  });

  test("has nothing begun for it any more when it was a batch whose client went away", async () => {
    await using rig = makeRig();
    const { desk, url, running } = await setUp(rig);
    const asked = request(`${url}/rpc/batch`, { method: "POST", agent: false }).on("error", () => {});
    asked.end(times(turnsPerSessionMax + 5, () => call("hang")).join("\n"));
    await until(() => running("hang") === turnsPerSessionMax, "its share runs");
    asked.destroy();
    await until(() => desk.live() === 0, "the batch is over");
    desk.answerAll();
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(desk.calls).toHaveLength(turnsPerSessionMax);
  });

  test("does not keep a neighbour at its address waiting", async () => {
    await using rig = makeRig();
    const { desk, url, running, stats } = await setUp(rig);
    const greedy = await Promise.all(times(3, () => open(rig, url)));
    for (const { send } of greedy) send(...times(200, () => call("hang")));
    await until(() => running("hang") === turnsPerAddressMax, "the address's share runs");
    const neighbour = await open(rig, url);
    neighbour.send(call("add", [1, 2]), pull(1));
    await until(() => stats().exports === 3 * 201 + 2, "everybody's calls have arrived");
    expect(desk.calls).toHaveLength(turnsPerAddressMax);
    desk.answerAll();
    await until(() => neighbour.heard.length === 1, "the neighbour has its answer");
    expect(neighbour.heard).toEqual(['["resolve",1,3]']);
    expect(running("hang")).toBeLessThanOrEqual(2 * turnsPerAddressMax);
    for (const { socket } of greedy) socket.terminate();
    neighbour.send(JSON.stringify(["release", 1, 1]));
    await until(() => desk.live() === 1, "the greedy are gone");
    desk.answerAll();
  });

  test("leaves nothing to be done when it leaves", async () => {
    await using rig = makeRig();
    const { desk, url, running, stats } = await setUp(rig);
    const { socket, send } = await open(rig, url);
    send(...times(900, () => call("hang")));
    await until(() => running("hang") === turnsPerSessionMax, "its share runs");
    socket.terminate();
    await until(() => stats().sessions === 0, "its session is over");
    desk.answerAll();
    const neighbour = await open(rig, url);
    neighbour.send(call("add", [1, 2]), pull(1), JSON.stringify(["release", 1, 1]));
    await until(() => neighbour.heard.length === 1, "a neighbour is answered");
    expect(running("hang")).toBe(turnsPerSessionMax);
  });

  test("gets more when its calls only wait: a call that takes long gives its turn away", async () => {
    await using rig = makeRig();
    const { clock, desk, url, running, stats } = await setUp(rig);
    const { send, heard } = await open(rig, url);
    send(...times(turnsPerSessionMax, () => call("hang")));
    await until(() => running("hang") === turnsPerSessionMax, "its share runs");
    const id = turnsPerSessionMax + 1;
    send(call("add", [1, 2]), pull(id));
    await until(() => stats().exports === 1 + id, "the call has arrived");
    expect(running("add")).toBe(0);
    await clock.advance(turnMsMax);
    await until(() => heard.length > 0, "the short call is answered");
    expect(heard).toEqual([`["resolve",${id},3]`]);
    expect(running("hang")).toBe(turnsPerSessionMax);
    desk.answerAll();
    send(...times(id, (index) => JSON.stringify(["release", index + 1, 1])));
  });
});

test("a batch of more messages than one turn of the event loop reads is answered whole", async () => {
  await using rig = makeRig();
  const { url } = await setUp(rig);
  const messages = [...times(100, (index) => call("add", [index, 1])), ...times(100, (index) => pull(index + 1))];
  expect(messages.length).toBeGreaterThan(2 * messagesPerTurnMax);
  const { status, text } = await ask(`${url}/rpc/batch`, { body: messages.join("\n") });
  expect(status).toBe(200);
  expect(text.trim().split("\n")).toEqual(times(100, (index) => `["resolve",${index + 1},${index + 1}]`));
});
