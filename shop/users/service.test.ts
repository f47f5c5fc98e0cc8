import { anonymous, introduce, type RpcPromise, type RpcStub } from "@flotilla/kit";
import { servicePeer, until } from "@flotilla/kit/testing";
import { describe, expect, test } from "vitest";
import type { User, UserService } from "../contracts/users.ts";
import { expectRefusal, makeUsers, password } from "./fixtures/users.ts";
import { permissions } from "./role.ts";

describe("who is served", () => {
  test("nobody without a service's key", async () => {
    await using users = await makeUsers();
    expect(() => users.link(anonymous)).toThrow("not served");
  });

  test("every other service than the gateway finds no method that takes a token, a password or an id", async () => {
    await using users = await makeUsers();
    const { token } = await users.main.authenticate("bob", password);
    for (const name of ["orders", "users", "payments", "gateway-2"]) {
      const main = users.link(servicePeer(name)).main as unknown as RpcStub<UserService>;
      const unimplemented = { code: "unimplemented" };
      await expectRefusal(main.getUserByToken(token), unimplemented);
      await expectRefusal(main.authenticate("bob", password), unimplemented);
      await expectRefusal(main.getUser("user1"), unimplemented);
      await expectRefusal(main.listUsers(), unimplemented);
      await expectRefusal(main.refresh(token), unimplemented);
      await expectRefusal(main.account(token), unimplemented);
    }
  });
});

describe("authenticate", () => {
  const invalid = { code: "unauthenticated", message: "Invalid username or password" };

  test("gives a token, a refresh token, who they are for, and when they end", async () => {
    await using users = await makeUsers({ tokenLifetimeMs: 60_000 });
    const login = await users.main.authenticate("alice", password);
    expect(login).toEqual({
      token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]{86}$/),
      userId: "user1",
      username: "alice",
      role: "admin",
      expiresAt: users.deps.clock.now() + 60_000,
      refreshToken: expect.stringMatching(/^[\w-]{64}$/),
      refreshExpiresAt: users.deps.clock.now() + 14 * 86_400_000,
    });
    expect((await users.main.authenticate("alice", password)).token).not.toBe(login.token);
  });

  test("knows a user however the keyboard spells the name and the password", async () => {
    await using users = await makeUsers();
    for (const username of ["jos\u00e9", "jose\u0301", "JOS\u00c9", "Jose\u0301"]) {
      for (const spelled of [password.normalize("NFC"), password.normalize("NFD")]) {
        expect(await users.main.authenticate(username, spelled)).toMatchObject({ username: "jos\u00e9" });
      }
    }
  });

  test("says the same of a wrong password and of an unknown user", async () => {
    await using users = await makeUsers();
    await expectRefusal(users.main.authenticate("bob", "wrong"), invalid);
    await expectRefusal(users.main.authenticate("bob", password.toUpperCase()), invalid);
    await expectRefusal(users.main.authenticate("mallory", password), invalid);
    await expectRefusal(users.main.authenticate("jose", password), invalid);
  });
});

describe("getUserByToken", () => {
  const invalid = { code: "unauthenticated", message: "Invalid or expired token" };

  test("gives the user of the token, and nobody for any other text", async () => {
    await using users = await makeUsers();
    const { token } = await users.main.authenticate("bob", password);
    using bob = users.main.getUserByToken(token);
    expect(await Promise.all([bob.getId(), bob.getUsername(), bob.getEmail(), bob.getRole()])).toEqual([
      "user2",
      "bob",
      "bob@example.com",
      "user",
    ]);
    for (const text of ["", "token_bob_0", "A".repeat(43), `${token} `, token.slice(1)]) {
      await expectRefusal(users.main.getUserByToken(text), invalid);
    }
  });

  test("ends with the token, for the capability too that was given before", async () => {
    await using users = await makeUsers({ tokenLifetimeMs: 60_000 });
    const { token } = await users.main.authenticate("bob", password);
    using bob = users.main.getUserByToken(token);
    users.letPass(59_999);
    expect(await bob.getId()).toBe("user2");
    users.letPass(1);
    await expectRefusal(bob.getId(), { code: "permission_denied", reason: "expired" });
    await expectRefusal(users.main.getUserByToken(token), invalid);
  });

  test("gives a user that can be introduced, which getUser does not, for an id is no authority", async () => {
    await using users = await makeUsers();
    const { token } = await users.main.authenticate("bob", password);
    using bob = users.main.getUserByToken(token);
    using mine = introduce<User>(bob, { from: users.gateway, to: "orders" });
    await until(() => users.home.counts().deposits === 1, "bob is deposited");

    using alice = users.main.getUser("user1");
    expect(await alice.getUsername()).toBe("alice");
    using forged = introduce<User>(alice as unknown as RpcPromise<never>, { from: users.gateway, to: "orders" });
    await expect(forged.answer(new Promise(() => {}))).rejects.toMatchObject({ code: "unimplemented" });
    expect(users.home.counts()).toEqual({ deposits: 1, parked: 0 });
    mine[Symbol.dispose]();
  });
});

test("getUser knows no other spelling of an id", async () => {
  await using users = await makeUsers();
  for (const id of ["user0", "user4", "user01", "User1", "1", "", "__proto__"]) {
    await expectRefusal(users.main.getUser(id), { code: "not_found", message: "User not found" });
  }
});

test("listUsers tells name and role, and neither an address nor a hash", async () => {
  await using users = await makeUsers();
  expect(await users.main.listUsers()).toEqual([
    { id: "user1", username: "alice", role: "admin" },
    { id: "user2", username: "bob", role: "user" },
    { id: "user3", username: "jos\u00e9", role: "user" },
  ]);
});

test("hasPermission is the specification's table, and a word that is no permission is granted to nobody", async () => {
  await using users = await makeUsers();
  const words = [...permissions, "order.delete", "", "constructor", "ORDER.CREATE"];
  const grantedTo = async (username: string) => {
    const { token } = await users.main.authenticate(username, password);
    using user = users.main.getUserByToken(token);
    const answers = await Promise.all(words.map((word) => user.hasPermission(word)));
    return words.filter((_, i) => answers[i]);
  };
  expect(await grantedTo("bob")).toEqual(["order.create", "order.view", "profile.edit"]);
  expect(await grantedTo("alice")).toEqual([
    ...["order.create", "order.view", "profile.edit"],
    ...["user.create", "user.delete", "order.cancel", "system.admin"],
  ]);
});
