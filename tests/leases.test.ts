import type { RpcStub } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import type { Administration } from "../shop/contracts/administration.ts";
import type { Account, Login } from "../shop/contracts/users.ts";
import { loginsPerAccountMax } from "../shop/users/login.ts";
import { demoPassword, makeShop, type Shop, someItems } from "./shop-harness.ts";

const denied = { code: "permission_denied", message: "You don't have permission to create orders" };
const revoked = { code: "permission_denied", reason: "revoked" };

type Act = (shop: Shop, login: Login) => Promise<unknown>;

const asAlice =
  (act: (office: RpcStub<Administration>) => PromiseLike<unknown>): Act =>
  async (shop) => {
    const { token } = await shop.login("alice");
    using account = shop.usersMain.account(token);
    using office = account.administration();
    await shop.clock.run(act(office as unknown as RpcStub<Administration>));
  };

const asHimself =
  (act: (account: RpcStub<Account>) => PromiseLike<unknown>): Act =>
  async (shop, { token }) => {
    using account = shop.usersMain.account(token);
    await shop.clock.run(act(account as unknown as RpcStub<Account>));
  };

/** Changes that take from bob, user2, the right to order: at the User Service alone, so that nobody else ends his introduction. */
const changes: Record<string, readonly [refusal: object, Act]> = {
  setRole: [
    denied,
    async (shop, login) => {
      await asAlice((office) => office.createRole("reader", ["order.view"]))(shop, login);
      await asAlice((office) => office.setRole("user2", "reader"))(shop, login);
    },
  ],
  setRolePermissions: [denied, asAlice((office) => office.setRolePermissions("user", ["order.view"]))],
  disableUser: [revoked, asAlice((office) => office.disableUser("user2"))],
  deleteUser: [revoked, asAlice((office) => office.deleteUser("user2"))],
  logout: [revoked, asHimself((account) => account.logout())],
  logoutEverywhere: [revoked, asHimself((account) => account.logoutEverywhere())],
  changePassword: [revoked, asHimself((account) => account.changePassword(demoPassword, "a horse in the rain"))],
  endSession: [
    revoked,
    asHimself(async (account) => {
      const [session] = await account.listSessions();
      await account.endSession(session!.sessionId);
    }),
  ],
  "a login too many": [
    revoked,
    async (shop) => {
      const logIn = () => shop.usersMain.authenticate("bob", demoPassword);
      // At once: one after the other, they take longer than a lease.
      await shop.clock.run(Promise.all(Array.from({ length: loginsPerAccountMax }, logIn)));
    },
  ],
  "the reuse of a refresh token": [
    revoked,
    async (shop, login) => {
      await shop.clock.run(shop.usersMain.refresh(login.refreshToken));
      await shop.clock.advance(10_000);
      await warmUp(shop, login);
      await shop.clock.run(shop.usersMain.refresh(login.refreshToken)).catch(() => {});
    },
  ],
};

/** Orders until the Order Service asks nobody any more. */
async function warmUp(shop: Shop, { token }: { readonly token: string }): Promise<void> {
  for (const _ of [1, 2]) await shop.clock.run(shop.client.createOrder(token, someItems));
  const before = shop.links.ordersUsers.messages.length;
  await shop.clock.run(shop.client.createOrder(token, someItems));
  expect(shop.links.ordersUsers.messages.slice(before)).toEqual([]);
}

describe("while the Order Service goes by what it was told of bob", () => {
  test.each(Object.entries(changes))("%s counts from his next order on", async (_, [refusal, act]) => {
    await using shop = await makeShop({ delayMs: 10, rates: { userPoints: 1_000 } });
    await shop.clock.advance(1_000);
    const bob = await shop.login("bob");
    await warmUp(shop, bob);
    const recalls = shop.recalls();
    await act(shop, bob);
    expect(shop.recalls()).toBeGreaterThan(recalls);
    const before = await shop.orderStore.count();
    await expect(shop.clock.run(shop.client.createOrder(bob.token, someItems))).rejects.toMatchObject(refusal);
    expect(await shop.orderStore.count()).toBe(before);
  });

  test("what he is given counts as soon", async () => {
    await using shop = await makeShop({ delayMs: 10 });
    const bob = await shop.login("bob");
    const cancel = () => shop.clock.run(shop.client.cancelOrder(bob.token, "order1"));
    await shop.clock.advance(1_000);
    await warmUp(shop, bob);
    for (const _ of [1, 2, 3]) await expect(cancel()).rejects.toMatchObject({ code: "permission_denied" });
    await asAlice((office) => office.setRole("user2", "moderator"))(shop, bob);
    expect(await cancel()).toMatchObject({ status: "cancelled" });
  });
});

test("what changes nobody's rights takes nothing back, and waits for nobody", async () => {
  await using shop = await makeShop({ delayMs: 10, rates: { userPoints: 1_000 } });
  const bob = await shop.login("bob");
  const harmless: Record<string, Act> = {
    editProfile: asHimself((account) => account.editProfile({ email: "bob@example.org" })),
    login: (own) => own.login("charlie"),
    refresh: (own, { refreshToken }) => own.clock.run(own.usersMain.refresh(refreshToken)),
    createUser: asAlice((office) =>
      office.createUser({ username: "dora", password: "a horse in the rain", email: "dora@example.org" }),
    ),
    createRole: asAlice((office) => office.createRole("reader", ["order.view"])),
    "a change that is refused": (own, login) =>
      asAlice((office) => office.setRole("user9", "user"))(own, login).catch(() => {}),
  };
  for (const [name, act] of Object.entries(harmless)) {
    await shop.clock.advance(1_000);
    await warmUp(shop, bob);
    const before = shop.links.ordersUsers.messages.length;
    await act(shop, bob);
    const recalls = shop.links.ordersUsers.messages.slice(before).filter((line) => line.includes("recall"));
    expect(recalls, name).toEqual([]);
  }
});

test("leases are taken anew after a reconnection and after a restart of the User Service", async () => {
  await using shop = await makeShop({ delayMs: 10, rates: { userPoints: 1_000 } });
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  await warmUp(shop, bob);
  for (const reconnect of [shop.reconnectUsers, shop.restartUsers]) {
    await reconnect();
    await shop.clock.advance(1_000);
    await warmUp(shop, bob);
  }
  using account = shop.usersMain.account(alice.token);
  using office = account.administration() as unknown as RpcStub<Administration>;
  await shop.clock.run(office.setRolePermissions("user", ["order.view"]));
  await expect(shop.clock.run(shop.client.createOrder(bob.token, someItems))).rejects.toMatchObject(denied);
});
