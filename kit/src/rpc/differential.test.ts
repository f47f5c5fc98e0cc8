import { randomInt } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Difference, differences } from "./fixtures/differences.ts";
import { differential } from "./fixtures/differential.ts";
import { stage } from "./fixtures/scene.ts";
import { type Pairing, pairings } from "./fixtures/sides.ts";

const programs = 100;

test(`${programs} generated programs do the same with stock and with ours, on either side`, async () => {
  await differential({ programs, seed: randomInt(2 ** 31) });
});

describe.each(differences)("on purpose, ours differs in $what", (difference) => {
  test.each(pairings)("$name", async (pairing) => {
    const isOurs = isDoneByOurs(difference, pairing);
    const expected = isOurs ? difference.ours : difference.stock;
    const { seen, isOver } = await stage(difference.scene, pairing);
    expect(seen.slice(0, expected.length), seen).toBe(expected);
    expect(isOver).toBe(!isOurs && difference.endsStock === true);
  });
});

function isDoneByOurs({ at }: Difference, { client, server }: Pairing): boolean {
  const sides = { client: [client], server: [server], either: [client, server] }[at];
  return sides.some(({ name }) => name === "ours");
}
