import { expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeBreaker } from "./breaker.ts";

function setUp() {
  const clock = makeVirtualClock();
  const breaker = makeBreaker(clock);
  const run = (call: () => Promise<unknown>) =>
    breaker.run(call, { name: "home", isFailure: (error) => (error as FlotillaError).code === "unavailable" }).then(
      () => "done",
      ({ reason, code }: FlotillaError) => reason ?? code,
    );
  const fail = (code: "unavailable" | "not_found" = "unavailable") =>
    run(() => Promise.reject(new FlotillaError(code, "no")));
  const failTimes = async (count: number) => {
    for (let n = 0; n < count; n += 1) await fail();
  };
  return { clock, breaker, run, fail, failTimes };
}

test("five failures in a row open it; an answer between them, or an error that is none, begins the count anew", async () => {
  const { breaker, run, fail, failTimes } = setUp();
  await failTimes(4);
  expect(await run(async () => "answer")).toBe("done");
  await failTimes(4);
  expect(await fail("not_found")).toBe("not_found");
  await failTimes(4);
  expect(breaker.state).toBe("closed");
  await failTimes(1);
  expect(breaker.state).toBe("open");
  expect(await run(async () => "answer")).toBe("circuit_open");
});

test("calls that were under way when it opened, and fail late, do not keep it open longer", async () => {
  const { clock, breaker, run, failTimes } = setUp();
  const slow = Promise.withResolvers<never>();
  const late = run(() => slow.promise);
  await failTimes(5);
  await clock.advance(200);
  slow.reject(new FlotillaError("unavailable", "no"));
  expect(await late).toBe("unavailable");
  await clock.advance(50);
  expect(breaker.state).toBe("half_open");
  expect(await run(async () => "answer")).toBe("done");
  expect(breaker.state).toBe("closed");
});

test("while it is open one call at a time tries, and one that fails keeps it open as long again", async () => {
  const { clock, breaker, run, fail, failTimes } = setUp();
  await failTimes(5);
  await clock.advance(250);
  const trial = Promise.withResolvers<never>();
  const trying = run(() => trial.promise);
  expect(await run(async () => "answer")).toBe("circuit_open");
  await clock.advance(100);
  trial.reject(new FlotillaError("unavailable", "no"));
  expect(await trying).toBe("unavailable");
  await clock.advance(249);
  expect(breaker.mayPass()).toBe(false);
  await clock.advance(1);
  expect(await fail()).toBe("unavailable");
});
