import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { makeUserCapabilities } from "./user-capabilities.ts";

const standing = { token: "token", review: async () => {} };

test("a place is given back once, and frees no other when it is given back again", async () => {
  const capabilities = makeUserCapabilities({ clock: makeVirtualClock(), capabilitiesMax: 2 });
  const [give] = [await capabilities.take("user2", standing), await capabilities.take("user2", standing)];
  give();
  give();
  await capabilities.take("user2", standing);
  await expect(capabilities.take("user2", standing)).rejects.toMatchObject({ reason: "capability_limit" });
});

test("when all places are taken each token is reviewed once, and the other leases of one that ended", async () => {
  const capabilities = makeUserCapabilities({ clock: makeVirtualClock(), capabilitiesMax: 4 });
  const reviewed: string[] = [];
  for (const token of ["stands", "ended", "stands", "ended"]) {
    const lease = {
      token,
      async review() {
        reviewed.push(token);
        if (token === "ended") give();
      },
    };
    const give = await capabilities.take("user2", lease);
  }
  for (let n = 0; n < 2; n += 1) await capabilities.take("user2", standing);
  await expect(capabilities.take("user2", standing)).rejects.toMatchObject({ reason: "capability_limit" });
  expect(reviewed.sort()).toEqual(["ended", "ended", "stands"]);
});
