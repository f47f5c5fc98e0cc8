import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { type FuzzReport, fuzz } from "./fuzz.ts";
import { contractMethods, fuzzedMethods, fuzzTargets } from "./fuzz-cases.ts";
import { crowdedAddress } from "./fuzz-shop.ts";

const casesEach = 500;
/** Far above a collection of garbage or a busy machine, and far below the deadline that a stalled call would meet. */
const honestMsMax = 5_000;
const logLineBytesMax = 2_048;

test.each(fuzzTargets)("the grammar knows every method of %s", (target) => {
  expect([...fuzzedMethods(target)]).toEqual(expect.arrayContaining([...contractMethods[target]]));
});

test(`${casesEach} generated sessions with each of ${fuzzTargets.join(", ")} break nothing`, {
  timeout: 180_000,
}, async () => {
  const seed = randomInt(2 ** 31);
  console.log(`fuzz: seed ${seed}; again: npm run fuzz -- --strict --cases ${casesEach} --seed ${seed}`);
  const report: FuzzReport = await fuzz({ targets: fuzzTargets, cases: casesEach, seed, strict: true });
  expect(report.cases).toEqual(Object.fromEntries(fuzzTargets.map((target) => [target, casesEach])));
  // Of an eighth of the sessions with the gateway, unless they were over before.
  if (crowdedAddress) expect(report.limitedAnswers).toBeGreaterThan(casesEach / 40);
  expect(report.honestMsWorst).toBeLessThan(honestMsMax);
  expect(report.logLineBytesMax).toBeLessThan(logLineBytesMax);
});
