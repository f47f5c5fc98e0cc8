import { describe, expect, test } from "vitest";
import { spawnChild } from "../testing/child.ts";
import type { Desk } from "../testing/desk.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome } from "../testing/until.ts";
import { onShutdownSignal } from "./shutdown.ts";

const source = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** A service that says its address, and what it is called with. */
const service = `
  import { serve } from ${source("./serve.ts")};
  import { onShutdownSignal } from ${source("./shutdown.ts")};
  import { makeDesk } from ${source("../testing/desk.ts")};
  const desk = makeDesk();
  const server = await serve({ name: "home", instance: "home-instance-00", port: 0, main: desk.mainFor });
  onShutdownSignal(async (signal) => {
    console.log("stopping on", signal);
    const drained = server.drain();
    setImmediate(desk.answerAll);
    await drained;
    console.log("drained", JSON.stringify(server.stats()), desk.live());
  });
  const hanging = async () => { await desk.hanging(); console.log("hanging"); };
  void hanging();
  console.log("at", server.url, "end");
`;

/** A process that does `stop`, and whose clock stands still but for what `stop` does to `nowMs`. */
const stubborn = (stop: string) => `
  import { onShutdownSignal } from ${source("./shutdown.ts")};
  let nowMs = 0;
  performance.now = () => nowMs;
  setInterval(() => {}, 1e6);
  onShutdownSignal((signal) => { console.log("stopping on", signal); ${stop} });
  console.log("up");
`;

describe("a process that gets a signal", () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    test(`${signal} answers what is under way, drains, and ends with 0`, async () => {
      await using rig = makeRig();
      await using child = spawnChild(service);
      await child.says("end");
      const url = /at (\S+) end/.exec(child.output())?.[1] ?? "";
      const connection = rig.connect<Desk>({ url });
      const call = outcome(connection.main.hang());
      await child.says("hanging");
      child.process.kill(signal);
      expect(await call).toBe("answered");
      expect(await child.ended()).toBe(0);
      expect(child.output()).toContain(`stopping on ${signal}`);
      expect(child.output()).toContain('drained {"sessions":0,"imports":0,"exports":0} 0');
    });
  }

  test("ends when its stop is done, whatever else still runs", async () => {
    await using child = spawnChild(stubborn("return Promise.resolve();"));
    await child.says("up");
    child.process.kill("SIGTERM");
    expect(await child.ended()).toBe(0);
  });

  for (const [first, second] of [
    ["SIGINT", "SIGINT"],
    ["SIGTERM", "SIGINT"],
    ["SIGTERM", "SIGTERM"],
  ] as const) {
    test(`${first} and then, when somebody lost patience, ${second} ends at once with 130`, async () => {
      await using child = spawnChild(stubborn("nowMs += 301; return new Promise(() => {});"));
      await child.says("up");
      child.process.kill(first);
      await child.says("stopping");
      child.process.kill(second);
      expect(await child.ended()).toBe(130);
    });
  }

  test("takes the copy that npm passes on for the same Ctrl+C", async () => {
    await using child = spawnChild(
      stubborn(`
      process.on("SIGINT", () => { console.log("again"); stopped.resolve(); });
      const stopped = Promise.withResolvers();
      return stopped.promise;`),
    );
    await child.says("up");
    child.process.kill("SIGINT");
    await child.says("stopping");
    child.process.kill("SIGINT");
    await child.says("again");
    expect(await child.ended()).toBe(0);
  });

  for (const [how, stop] of Object.entries({
    rejects: 'return Promise.reject(new Error("the disk is full"));',
    throws: 'throw new Error("the disk is full");',
  })) {
    test(`ends with 1 when its stop ${how}, and says why`, async () => {
      await using child = spawnChild(stubborn(stop));
      await child.says("up");
      child.process.kill("SIGTERM");
      expect(await child.ended()).toBe(1);
      expect(child.output()).toContain("The stop failed: the disk is full");
    });
  }
});

test("a process that listens no more is as it was", () => {
  const count = () => ["SIGTERM", "SIGINT", "SIGHUP"].map((signal) => process.listenerCount(signal));
  const before = count();
  const off = onShutdownSignal(async () => {});
  off();
  off();
  expect(count()).toEqual(before);
});
