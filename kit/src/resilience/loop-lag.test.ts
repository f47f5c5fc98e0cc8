import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { watchLoopLag } from "./loop-lag.ts";

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test("a loop that was blocked is late by as long, at once and for a while, and then no more", async () => {
  const lag = watchLoopLag();
  try {
    block(600);
    expect(lag.ms()).toBeGreaterThanOrEqual(450);
    await new Promise((resolve) => setImmediate(resolve));
    expect(lag.ms()).toBeGreaterThanOrEqual(450);
    // The worst of a second is still told in the next one.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(lag.ms()).toBeGreaterThanOrEqual(450);
    await until(() => lag.ms() < 400, "it is forgotten");
  } finally {
    lag.stop();
  }
});
