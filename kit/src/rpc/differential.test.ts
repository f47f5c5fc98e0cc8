import { randomInt } from "node:crypto";
import { describe, expect, test } from "vitest";
import { newestStock, olderStock } from "../../../tests/stock-versions.ts";
import { type Difference, differences } from "./fixtures/differences.ts";
import { differential } from "./fixtures/differential.ts";
import { newerValues } from "./fixtures/newer-values.ts";
import { stage } from "./fixtures/scene.ts";
import { callOn, type Pairing, pairingsWith, type Side } from "./fixtures/sides.ts";

const programs = 100;

test(`${programs} generated programs do the same with stock and with ours, on either side`, async () => {
  await differential({ programs, seed: randomInt(2 ** 31) });
});

const isOurs = ({ name }: Side) => name === "ours";
const withOlder = pairingsWith(olderStock);
// Two of ours need to be seen once.
const pairings = [
  ...pairingsWith(newestStock),
  ...withOlder.filter(({ client, server }) => !(isOurs(client) && isOurs(server))),
];

describe.each(differences)("on purpose, ours differs in $what", (difference) => {
  const { unknownTo = [] } = difference;
  test.each(pairings.filter(({ client }) => !unknownTo.includes(client.name)))("$name", async (pairing) => {
    const isDoneByOurs = sidesAt(difference, pairing).some(isOurs);
    const expected = isDoneByOurs ? difference.ours : difference.stock;
    const { seen, isOver } = await stage(difference.scene, pairing);
    expect(seen.slice(0, expected.length), seen).toBe(expected);
    expect(isOver).toBe(!isDoneByOurs && difference.endsStock === true);
  });
});

function sidesAt({ at }: Difference, { client, server }: Pairing): readonly Side[] {
  return { client: [client], server: [server], either: [client, server] }[at];
}

describe.each(newerValues)("a $what, which stock 0.8 neither sends nor knows", ({ what, make, shown, readByOlder }) => {
  const seenBetween = (sender: Side, reader: Side) => {
    if (!isOurs(sender)) return "TypeError: Cannot serialize value";
    return isOurs(reader) ? shown : readByOlder;
  };

  test.each(withOlder)("as an argument, $name", async (pairing) => {
    const { seen, isOver } = await stage(async ({ main }) => await callOn(main, "describe", make()), pairing);
    const expected = seenBetween(pairing.client, pairing.server);
    expect(isOver).toBe(expected === undefined);
    expect(seen).toMatch(expected ?? "unavailable: The peer ended the session");
  });

  test.each(withOlder)("as a result, $name", async (pairing) => {
    const { seen, isOver } = await stage(async ({ main }) => await callOn(main, "newer", what), pairing);
    const expected = seenBetween(pairing.server, pairing.client);
    expect(isOver).toBe(expected === undefined);
    expect(seen).toMatch(expected ?? "TypeError: unknown special value");
  });
});
