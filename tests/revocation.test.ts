import {
  accept,
  contract,
  expose,
  type Introduction,
  introductionTo,
  type RpcStub,
  type RpcTarget,
} from "@flotilla/kit";
import { makeTestLink, servicePeer } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import type { Administration } from "../shop/contracts/administration.ts";
import type { User } from "../shop/contracts/users.ts";
import { makeShop, type Shop, someItems } from "./shop-harness.ts";

const revoked = { code: "permission_denied", reason: "revoked" };
const invalidToken = { code: "unauthenticated", message: "Invalid or expired token" };

/** What ends all that came of bob's login, as the gateway would ask for it; it is over when the answer is there. */
const ends: Record<string, (shop: Shop, token: string, refreshToken: string) => Promise<unknown>> = {
  logout: (shop, token) => withAccount(shop, token, (account) => account.logout()),
  logoutEverywhere: (shop, token) => withAccount(shop, token, (account) => account.logoutEverywhere()),
  changePassword: (shop, token) =>
    withAccount(shop, token, (account) => account.changePassword("password", "a horse in the rain")),
  endSession: (shop, token) =>
    withAccount(shop, token, async (account) => {
      const [session] = await account.listSessions();
      await account.endSession(session!.sessionId);
    }),
  disableUser: (shop) => asAlice(shop, (office) => office.disableUser("user2")),
  deleteUser: (shop) => asAlice(shop, (office) => office.deleteUser("user2")),
  "the reuse of a refresh token": async (shop, _, refreshToken) => {
    await shop.clock.run(shop.usersMain.refresh(refreshToken));
    await shop.clock.advance(10_000);
    await expect(shop.clock.run(shop.usersMain.refresh(refreshToken))).rejects.toMatchObject(invalidToken);
  },
};

type AccountStub = Awaited<ReturnType<Shop["usersMain"]["account"]>>;

async function withAccount(
  shop: Shop,
  token: string,
  act: (account: AccountStub) => PromiseLike<unknown>,
): Promise<void> {
  using account = shop.usersMain.account(token);
  await shop.clock.run(act(account as unknown as AccountStub));
}

async function asAlice(shop: Shop, act: (office: RpcStub<Administration>) => PromiseLike<unknown>): Promise<void> {
  const { token } = await shop.login("alice");
  using account = shop.usersMain.account(token);
  using office = account.administration();
  await shop.clock.run(act(office as unknown as RpcStub<Administration>));
}

test.each(Object.entries(ends))(
  "%s ends what the gateway introduced and what the Order Service may withdraw",
  async (_, end) => {
    await using shop = await makeShop({ delayMs: 10 });
    const { token, refreshToken } = await shop.login("bob");
    await shop.clock.run(shop.client.createOrder(token, someItems));
    using held = await keepUser(shop, token);
    expect(await shop.clock.run(held.getId())).toBe("user2");

    await end(shop, token, refreshToken);
    // Which asks nothing of the store: it is the revoker that refuses.
    await expect(shop.clock.run(held.getId())).rejects.toMatchObject(revoked);
    await expect(shop.clock.run(shop.client.createOrder(token, someItems))).rejects.toMatchObject(revoked);
    // What was refused so is not kept: from now on it is the token that is asked about.
    await expect(shop.clock.run(shop.client.listOrders(token))).rejects.toMatchObject(invalidToken);
    await expect(shop.clock.run(shop.client.getUserProfile(token))).rejects.toMatchObject(invalidToken);
    expect(await shop.orderStore.count()).toBe(1);
  },
);

interface Keeper extends RpcTarget {
  keep(user: Introduction<User>): void;
}
const KeeperContract = contract<Keeper>("Keeper", { keep: { params: [introductionTo<User>("user")] } });

/** An Order Service that keeps the user it was introduced to, which ours does not. */
async function keepUser(shop: Shop, token: string): Promise<RpcStub<User>> {
  const gateway = servicePeer("gateway");
  let kept: RpcStub<User> | undefined;
  const keeper = {
    keep(user: Introduction<User>) {
      using accepted = accept(user, { from: shop.usersForOrders });
      kept = accepted.dup() as unknown as RpcStub<User>;
    },
  };
  const main = expose(KeeperContract, keeper, { peer: gateway, clock: shop.clock });
  const link = makeTestLink({
    clock: shop.clock,
    from: gateway,
    to: { name: "orders", instance: shop.orders.instance, main },
  });
  await shop.clock.run(shop.introductions.with(token, (user) => (link.main as unknown as RpcStub<Keeper>).keep(user)));
  link.cut();
  return kept!;
}

test("bob is disabled while the Order Service holds him: its next question is refused, with the link cut and after", async () => {
  await using shop = await makeShop({ delayMs: 10 });
  const { token } = await shop.login("bob");
  const other = await shop.login("charlie");
  using bob = await keepUser(shop, token);
  using charlie = await keepUser(shop, other.token);
  const mayOrder = (user: RpcStub<User>) => shop.clock.run(user.hasPermission("order.create"));
  expect(await Promise.all([mayOrder(bob), mayOrder(charlie)])).toEqual([true, true]);
  await asAlice(shop, (office) => office.disableUser("user2"));
  await expect(mayOrder(bob)).rejects.toMatchObject(revoked);
  await expect(shop.clock.run(bob.getId())).rejects.toMatchObject(revoked);
  expect(await mayOrder(charlie)).toBe(true);

  shop.links.ordersUsers.cut();
  for (const user of [bob, charlie]) await expect(mayOrder(user)).rejects.toMatchObject({ code: "unavailable" });
  await shop.reconnectUsers();
  await expect(mayOrder(bob)).rejects.toMatchObject({ code: "unavailable" });
  await expect(shop.clock.run(shop.client.createOrder(token, someItems))).rejects.toMatchObject(invalidToken);
  expect(await shop.clock.run(shop.client.createOrder(other.token, someItems))).toMatchObject({ orderId: "order1" });
});

test("a moderator made at run time cancels bob's order, and no longer when the role is taken back", async () => {
  await using shop = await makeShop();
  const bob = await shop.login("bob");
  const charlie = await shop.login("charlie");
  for (const _ of [1, 2]) await shop.clock.run(shop.client.createOrder(bob.token, someItems));
  const cancel = (orderId: string) => shop.clock.run(shop.client.cancelOrder(charlie.token, orderId));
  await expect(cancel("order1")).rejects.toMatchObject({ code: "permission_denied" });
  await asAlice(shop, (office) => office.setRole("user3", "moderator"));
  expect(await cancel("order1")).toMatchObject({ status: "cancelled" });
  await asAlice(shop, (office) => office.setRole("user3", "user"));
  await expect(cancel("order2")).rejects.toMatchObject({ message: "You don't have permission to cancel orders" });
  // One introduction served before, in between and after.
  expect(shop.introductions.size).toBe(2);
});
