import { expect, test } from "vitest";
import { makeShop } from "../../tests/shop-harness.ts";
import { HeldAccount } from "./held-account.ts";

test("an account is held once at each instance, however often another is asked for in vain", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  using account = await shop.clock.run(HeldAccount.open(token, shop.usersForGateway));
  const held = shop.links.gatewayUsers.near.stats();
  for (let n = 0; n < 10; n += 1) await shop.clock.run(account.hosted(shop.users.instance));
  await shop.clock.advance(10);
  expect(shop.links.gatewayUsers.near.stats()).toEqual(held);
  expect(await shop.clock.run(account.read((it) => it.getProfile()))).toMatchObject({ username: "bob" });
});
