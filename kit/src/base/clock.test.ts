import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";

test("the system's clock runs what is due, later than now, even when that was before", async () => {
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.after(-5, () => {
      seen.push("ran");
      resolve();
    });
    seen.push("asked");
  });
  expect(seen).toEqual(["asked", "ran"]);
});

test("what was cancelled does not run, and cancelling it again does nothing", async () => {
  let ran = false;
  const cancel = systemClock.after(0, () => {
    ran = true;
  });
  cancel();
  cancel();
  await new Promise<void>((resolve) => systemClock.after(2, resolve));
  expect(ran).toBe(false);
});

test("a delay longer than a timer takes does not fire at once", async () => {
  let ran = false;
  const cancel = systemClock.after(2 ** 40, () => {
    ran = true;
  });
  await new Promise<void>((resolve) => systemClock.after(2, resolve));
  cancel();
  expect(ran).toBe(false);
});

test("monotonic time does not go back", () => {
  const first = systemClock.monotonicMs();
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
});
