import { expect, test } from "vitest";
import { quantile } from "./history.ts";
import { type Stalled, stallUnderLoad } from "./stalls.ts";

/** A ping after 4.5 s, 2 s for its answer, and what a busy machine adds. Milliseconds. */
const noticedMsMax = 6_500 + 2_000;

test("a service that stops without a word is noticed, keeps nobody else waiting, and does nothing twice after", async () => {
  const services: Stalled[] = ["orders", "users"];
  const report = await stallUnderLoad(services, 4);
  expect(report.violations).toEqual([]);
  expect(report.stalls.map(({ service }) => service)).toEqual(services);
  for (const { noticedMs, besideMs } of report.stalls) {
    expect(noticedMs).toBeLessThan(noticedMsMax);
    expect(besideMs.during.length).toBeGreaterThan(100);
    expect(quantile(besideMs.during, 0.5)).toBeLessThan(2 * quantile(besideMs.before, 0.5));
  }
  expect([...report.history.errors.keys()]).toContain("unavailable");
});
