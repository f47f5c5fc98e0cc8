import { expect, test } from "vitest";
import { demoPassword, makeShop, type Shop } from "../../tests/shop-harness.ts";
import { userLimits } from "../service/rate-settings.ts";

type Client = ReturnType<Shop["openClient"]>["main"];
type HeldAccount = Awaited<ReturnType<Client["account"]>>;

/** A token of `username` in a thief's hands, with the accounts taken by it; the owner's client is elsewhere. */
async function robbed(shop: Shop, username: string, count: number) {
  const { token: stolen } = await shop.login(username);
  const thief = shop.openClient({ network: "198.51.100.1", isBatch: false });
  const accounts: HeldAccount[] = [];
  for (let n = 0; n < count; n += 1) accounts.push(await shop.clock.run(thief.main.account(stolen)));
  const owner = shop.openClient({ network: "192.0.2.1", isBatch: false });
  const logIn = async () => (await shop.clock.run(owner.main.login(username, demoPassword))).token;
  const cut = () => {
    thief.cut();
    owner.cut();
  };
  return { stolen, accounts, owner: owner.main, logIn, [Symbol.dispose]: cut };
}

function outcome(shop: Shop, call: PromiseLike<unknown>): Promise<string> {
  const ended = Promise.resolve(call).then(
    () => "ok",
    ({ code, reason }: { code: string; reason?: string }) => reason ?? code,
  );
  return shop.clock.run(ended);
}

test("accounts of an ended login give their places back though their holder never releases them", async () => {
  await using shop = await makeShop();
  const atUsers = shop.links.gatewayUsers.near.stats();
  using held = await robbed(shop, "bob", userLimits.capabilitiesMax);
  const { stolen, accounts, owner, logIn } = held;
  const token = await logIn();
  expect(await outcome(shop, owner.account(token))).toBe("capability_limit");
  await shop.clock.run(owner.logout(stolen));
  await shop.clock.advance(1_000);
  using account = await shop.clock.run(owner.account(token));
  expect(await outcome(shop, account.profile())).toBe("ok");
  // Neither are they kept at the User Service: a user who logs in and out would hold more and more there.
  account[Symbol.dispose]();
  await shop.clock.advance(100);
  expect(shop.links.gatewayUsers.near.stats()).toEqual(atUsers);
  expect(await outcome(shop, accounts[0]!.profile())).toBe("revoked");
});

test("administrations of an ended login give their places back, also when their account was released", async () => {
  await using shop = await makeShop();
  const half = userLimits.capabilitiesMax / 2;
  using held = await robbed(shop, "alice", half);
  const { stolen, accounts, owner, logIn } = held;
  const administrations = [];
  for (const account of accounts) {
    administrations.push(await shop.clock.run(account.administration()));
    account[Symbol.dispose]();
  }
  const token = await logIn();
  expect(await outcome(shop, owner.account(token))).toBe("capability_limit");
  expect(await outcome(shop, administrations[0]!.listRoles())).toBe("ok");
  await shop.clock.run(owner.logout(stolen));
  await shop.clock.advance(1_000);
  expect(await outcome(shop, owner.account(token))).toBe("ok");
  expect(await outcome(shop, administrations[0]!.listRoles())).toBe("revoked");
});

test.each(["profile", "listRoles"] as const)(
  "calls of %s by an ended login don't spend its user's budget",
  async (name) => {
    await using shop = await makeShop({ rates: { userPoints: 100 } });
    using held = await robbed(shop, "alice", 1);
    const { stolen, accounts, owner, logIn } = held;
    const account = accounts[0]!;
    const administration = await shop.clock.run(account.administration());
    await shop.clock.run(owner.logout(stolen));
    await shop.clock.advance(10_000);
    for (let n = 0; n < 100; n += 1) {
      expect(await outcome(shop, name === "profile" ? account.profile() : administration.listRoles())).toBe("revoked");
    }
    expect(await outcome(shop, owner.getUserProfile(await logIn()))).toBe("ok");
  },
);

test("an account whose current password was mistyped holds on", async () => {
  await using shop = await makeShop();
  using held = await robbed(shop, "bob", 1);
  const { accounts } = held;
  expect(await outcome(shop, accounts[0]!.changePassword("wrong", "correct horse battery"))).toBe("wrong_password");
  expect(await outcome(shop, accounts[0]!.profile())).toBe("ok");
});
