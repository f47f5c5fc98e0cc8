import { once } from "node:events";
import { newWebSocketRpcSession } from "capnweb";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { stoppingLine } from "../rpc/context-line.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { connectAll } from "./instances.ts";

test("a peer of ours hears that a server is stopping before anything is refused, and is waited for", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const desk = makeDesk(clock);
  const server = await rig.serve({ main: desk.mainFor, clock });
  const heard = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const home = rig.connect<Desk>({
    url: server.url,
    onStopping() {
      heard.resolve();
      return done.promise;
    },
  });
  await home.opened();
  expect(home.isLeaving).toBe(false);
  const drained = server.drain();
  await heard.promise;
  expect(home.isLeaving).toBe(true);
  const { main } = home;
  // What takes several calls goes on.
  using ticket = await main.take(7);
  expect(await outcome(ticket.getNumber())).toBe(7);
  done.resolve();
  await drained;
  await until(() => !home.isOpen, "the session is over");
  expect(home.isLeaving).toBe(false);
});

test("a peer that does not answer the notice is waited for half a second, and then refused", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const desk = makeDesk(clock);
  const server = await rig.serve({ main: desk.mainFor, clock });
  const heard = Promise.withResolvers<void>();
  const home = rig.connect<Desk>({
    url: server.url,
    onStopping() {
      heard.resolve();
      return new Promise(() => {});
    },
  });
  const hung = outcome(home.main.hang());
  await until(() => desk.calls.length === 1, "it hangs");
  const drained = server.drain();
  await heard.promise;
  await clock.advance(499);
  expect(await outcome(home.main.add(1, 2))).toBe(3);
  await clock.advance(1);
  await expect(outcome(home.main.add(1, 2))).rejects.toMatchObject({ code: "unavailable", reason: "stopping" });
  desk.answerAll();
  expect(await hung).toBe("answered");
  await drained;
});

test("a notice that its hearer fails at is answered all the same, and takes nobody's process", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const server = await rig.serve({ main: makeDesk(clock).mainFor, clock });
  const home = rig.connect<Desk>({
    url: server.url,
    async onStopping() {
      throw new Error("a bug in here");
    },
  });
  await home.opened();
  await server.drain();
});

test("a stock peer is told nothing, and not waited for", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const server = await rig.serve({ main: makeDesk(clock).mainFor, clock });
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/rpc`);
  const frames: string[] = [];
  socket.on("message", (data) => frames.push(String(data)));
  const stock = newWebSocketRpcSession<Desk>(socket as never);
  expect(await outcome(stock.add(1, 2))).toBe(3);
  const closed = once(socket, "close");
  await server.drain();
  await closed;
  expect(frames.join("\n")).not.toContain("stopping");
});

test("a notice that nobody gave a reason for is nothing to a server, however often it comes", async () => {
  await using rig = makeRig();
  const desk = makeDesk();
  const server = await rig.serve({ main: desk.mainFor });
  const { socket, heard } = await openRawSocket(rig, server.url, { protocols: ["flotilla.v1"] });
  const notices = Array.from({ length: 1_000 }, () => stoppingLine).join("\n");
  socket.send(`${notices}\n["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]`);
  await until(() => heard.length > 0, "the answer");
  expect(heard.join("\n")).toBe('["resolve",1,3]');
});

test("of instances that stop one after the other, no call fails, though none may be repeated", async () => {
  await using rig = makeRig();
  const desks = Array.from({ length: 3 }, () => makeDesk());
  const servers = await Promise.all(desks.map((desk) => rig.serve({ main: desk.mainFor })));
  using all = connectAll<Desk>({ name: "home", urls: servers.map(({ url }) => url) });
  await all.opened();
  await until(() => all.openCount === 3, "all are open");
  const failed: unknown[] = [];
  let done = 0;
  let isOver = false;
  const callers = Array.from({ length: 16 }, async () => {
    while (!isOver) {
      // Two calls, the second on what the first brought.
      const use = async (main: Parameters<Parameters<typeof all.call<number>>[0]>[0]) => {
        using ticket = await main.take(7);
        return await ticket.getNumber();
      };
      await all.call(use).then(
        () => {
          done += 1;
        },
        (error: unknown) => failed.push(error),
      );
    }
  });
  for (const { drain } of servers.slice(1)) {
    const before = done;
    await until(() => done > before + 100, "calls are answered");
    await drain();
  }
  const before = done;
  await until(() => done > before + 100, "calls are answered by the last");
  isOver = true;
  await Promise.all(callers);
  expect(failed).toEqual([]);
  const counts = desks.map(({ calls }) => calls.filter((name) => name === "getNumber").length);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(done);
});
