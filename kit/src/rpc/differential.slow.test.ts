import { randomInt } from "node:crypto";
import { test } from "vitest";
import { differential } from "./fixtures/differential.ts";

const programs = 2_000;

test(`${programs} generated programs do the same with stock and with ours`, { timeout: 300_000 }, async () => {
  const seed = randomInt(2 ** 31);
  console.log(`differential: seed ${seed}; again: npm run differential -- --programs ${programs} --seed ${seed}`);
  await differential({ programs, seed });
});
