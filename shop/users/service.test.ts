import { anonymous, type Clock, introduce, makeHome, type Peer, systemClock } from "@flotilla/kit";
import { expectNoLeaks, makeTestLink, servicePeer, type TestLink } from "@flotilla/kit/testing";
import type { RpcPromise, RpcStub } from "capnweb";
import { beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/process-harness.ts";
import type { User, UserService } from "../contracts/users.ts";
import { makePasswords } from "./password.ts";
import { permissions } from "./role.ts";
import { userServiceFor } from "./service.ts";
import { makeMemoryUserStore } from "./store-memory.ts";

const passwords = makePasswords();
const password = "pässwörd";
let passwordHash: string;
beforeAll(async () => {
  passwordHash = await passwords.hash(password);
});

/** A User Service with alice (admin), bob and josé, and sessions with it. Disposing it asserts that nothing leaked. */
async function makeUsers({ tokenLifetimeMs = 60_000 } = {}) {
  let nowMs = systemClock.now();
  const clock: Clock = { ...systemClock, now: () => nowMs };
  const store = makeMemoryUserStore();
  const account = { passwordHash, createdAtMs: nowMs };
  await store.addAccount({ ...account, username: "alice", email: "alice@example.com", role: "admin" });
  await store.addAccount({ ...account, username: "bob", email: "bob@example.com", role: "user" });
  await store.addAccount({ ...account, username: "jos\u00e9", email: "jose@example.com", role: "user" });
  const home = makeHome({ name: "users", clock });
  const deps = { clock, store, passwords, tokenLifetimeMs };
  const links: TestLink[] = [];
  const link = (from: Peer) => {
    const main = userServiceFor(from, home, deps);
    if (!main) throw new Error("not served");
    const made = makeTestLink({ clock, from, to: { name: home.name, instance: home.instance, main } });
    links.push(made);
    return made;
  };
  const gateway = link(servicePeer("gateway"));
  return {
    home,
    link,
    gateway,
    main: gateway.main as unknown as RpcStub<UserService>,
    letPass(ms: number) {
      nowMs += ms;
    },
    [Symbol.asyncDispose]: () =>
      until(() => {
        try {
          expectNoLeaks({ links, homes: [home] });
          return true;
        } catch {
          return false;
        }
      }, "the tables are at their start"),
  };
}

/** Not `expect(call).rejects`: to that a stub's promise is a function, which it calls. */
async function expectRefusal(call: PromiseLike<unknown>, refusal: object): Promise<void> {
  await expect(Promise.resolve(call)).rejects.toMatchObject(refusal);
}

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
    }
  });
});

describe("authenticate", () => {
  const invalid = { code: "unauthenticated", message: "Invalid username or password" };

  test("gives a token of 256 bits, who it is for, and when it ends", async () => {
    await using users = await makeUsers({ tokenLifetimeMs: 60_000 });
    const login = await users.main.authenticate("alice", password);
    expect(login).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/),
      userId: "user1",
      username: "alice",
      role: "admin",
      expiresAt: expect.any(Number),
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
