import { describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import type { RpcStub } from "../rpc/stub.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { outcome, until } from "../testing/until.ts";
import { makeMemoryLink } from "../transport/memory.ts";
import { openSession } from "./session.ts";

const stopping = new FlotillaError("unavailable", "The service is stopping");

function setUp(framing: "flotilla.v1" | "capnweb" = "flotilla.v1") {
  const desk = makeDesk();
  const link = makeMemoryLink({ framing });
  const far = openSession(link.right, { localMain: desk.mainFor({ kind: "anonymous" }) });
  const near = openSession(link.left);
  return { desk, link, far, near, main: near.remoteMain as unknown as RpcStub<Desk> };
}

for (const framing of ["flotilla.v1", "capnweb"] as const) {
  describe(`a session that drains, framed as ${framing}`, () => {
    test("waits for what the peer waits for, and refuses what comes after, with its capabilities' calls", async () => {
      const { desk, far, near, main } = setUp(framing);
      using ticket = await main.take(3);
      const hanging = outcome(main.hang());
      await until(() => desk.calls.includes("hang"), "it hangs");
      let isDrained = false;
      const drained = far.drain().then(() => {
        isDrained = true;
      });
      using another = main.take(4);
      for (const call of [main.add(1, 2), ticket.getNumber(), another.getNumber()]) {
        await expect(outcome<unknown>(call)).rejects.toMatchObject({
          code: "unavailable",
          message: "The service is stopping",
          retryable: true,
        });
      }
      expect([isDrained, desk.calls]).toEqual([false, ["take", "hang"]]);
      desk.answerAll();
      expect(await hanging).toBe("answered");
      await drained;
      ticket[Symbol.dispose]();
      another[Symbol.dispose]();
      await until(() => far.stats().exports === 1 && near.stats().imports === 1, "the tables at rest");
      far.close(stopping);
      await until(() => desk.live() === 0, "all disposed");
    });
  });
}

test("a frame of several calls keeps its numbering when it is refused", async () => {
  const { desk, far, main } = setUp();
  await outcome(main.add(0, 0));
  void far.drain();
  const calls = Array.from({ length: 10 }, (_, index) => outcome(main.add(index, index)));
  const codes = (await Promise.allSettled(calls)).map((result) => result.status === "rejected" && result.reason.code);
  expect(codes).toEqual(Array(10).fill("unavailable"));
  expect(desk.calls).toEqual(["add"]);
  far.close(stopping);
});

test("a session is drained once, however often it is asked", async () => {
  const { desk, far, main } = setUp();
  const hanging = outcome(main.hang());
  await until(() => desk.calls.includes("hang"), "it hangs");
  const drains = [far.drain(), far.drain(), far.drain()];
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  drains.push(far.drain());
  desk.answerAll();
  await Promise.all([...drains, hanging]);
  far.close(stopping);
});

test("a session that ends while it drains rejects the drain, with nobody's rejection unheard", async () => {
  const { desk, far, link, main } = setUp();
  const hanging = outcome(main.hang());
  hanging.catch(() => {});
  await until(() => desk.calls.includes("hang"), "it hangs");
  const drained = far.drain();
  drained.catch(() => {});
  await until(() => far.stats().exports === 2, "the call in the table");
  await new Promise((resolve) => setImmediate(resolve));
  link.cut();
  await expect(drained).rejects.toBeDefined();
  await expect(hanging).rejects.toMatchObject({ code: "unavailable" });
  expect((await far.closed).code).toBe("unavailable");
  desk.answerAll();
});

test("a session that is closed rejects what is under way, ends at both ends, and ends once", async () => {
  const { desk, far, near, main } = setUp();
  const hanging = outcome(main.hang());
  hanging.catch(() => {});
  await until(() => desk.calls.includes("hang"), "it hangs");
  near.close(new FlotillaError("unavailable", "enough"));
  await expect(hanging).rejects.toMatchObject({ code: "unavailable" });
  await expect(outcome(main.add(1, 2))).rejects.toMatchObject({ code: "unavailable" });
  expect((await near.closed).code).toBe("unavailable");
  expect((await far.closed).code).toBe("unavailable");
  near.close(stopping);
  await until(() => desk.live() === 0, "the main object disposed");
  desk.answerAll();
});
