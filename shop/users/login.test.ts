import { hash } from "@node-rs/argon2";
import { describe, expect, test } from "vitest";
import { argonOptions } from "./argon.ts";
import { expectRefusal, makeUsers, password } from "./fixtures/users.ts";
import { idleMsMax, loginMsMax, loginsPerAccountMax, rotationGraceMs, rotationsInGraceMax } from "./login.ts";
import { isWeakHash } from "./password.ts";
import { newRefreshToken } from "./refresh-token.ts";

const invalidToken = { code: "unauthenticated", message: "Invalid or expired token" };
const invalidLogin = { code: "unauthenticated", message: "Invalid username or password" };

describe("refresh", () => {
  test("gives a new token and the refresh token's successor, of the same login", async () => {
    await using users = await makeUsers();
    const first = await users.login("bob");
    users.letPass(60_000);
    await expectRefusal(users.main.getUserByToken(first.token), invalidToken);
    const second = await users.main.refresh(first.refreshToken);
    expect(second).toMatchObject({ userId: "user2", expiresAt: first.expiresAt + 60_000 });
    expect(second.refreshToken).not.toBe(first.refreshToken);
    using bob = users.main.getUserByToken(second.token);
    expect(await bob.getId()).toBe("user2");
    using account = users.main.account(second.token);
    expect(await account.listSessions()).toHaveLength(1);
  });

  test("of one token fifty times at once is one rotation with one successor", async () => {
    await using users = await makeUsers();
    const { refreshToken } = await users.login("bob");
    const all = await Promise.all(Array.from({ length: 50 }, () => users.main.refresh(refreshToken)));
    expect(new Set(all.map((login) => login.refreshToken)).size).toBe(1);
    users.letPass(rotationGraceMs);
    expect(await users.main.refresh(all[0]!.refreshToken)).toBeDefined();
  });

  test("whose answer was lost gives the same successor again for ten seconds, also when that was used already", async () => {
    await using users = await makeUsers();
    const { refreshToken } = await users.login("bob");
    const second = await users.main.refresh(refreshToken);
    const third = await users.main.refresh(second.refreshToken);
    users.letPass(rotationGraceMs - 1);
    expect((await users.main.refresh(refreshToken)).refreshToken).toBe(second.refreshToken);
    expect((await users.main.refresh(second.refreshToken)).refreshToken).toBe(third.refreshToken);
  });

  test("with a token that was rotated before ends the login, and whatever came of it, and says so in the trail", async () => {
    await using users = await makeUsers();
    const first = await users.login("bob");
    const other = await users.login("bob");
    const second = await users.main.refresh(first.refreshToken);
    using bob = users.main.getUserByToken(second.token);
    expect(await bob.getId()).toBe("user2");
    users.letPass(rotationGraceMs);
    await expectRefusal(users.main.refresh(first.refreshToken), invalidToken);
    await expectRefusal(bob.getId(), { code: "permission_denied", reason: "revoked" });
    await expectRefusal(users.main.refresh(second.refreshToken), invalidToken);
    await expectRefusal(users.main.getUserByToken(second.token), invalidToken);
    expect((await users.trail())[0]).toBe("refresh_reused >user2");
    // Another login of the same account goes on.
    expect(await users.main.refresh(other.refreshToken)).toBeDefined();
  });

  test("with a token that nobody was given ends nothing", async () => {
    await using users = await makeUsers();
    const { refreshToken, token } = await users.login("bob");
    for (const text of ["", token, newRefreshToken(), refreshToken.slice(1), `${refreshToken}A`]) {
      await expectRefusal(users.main.refresh(text), invalidToken);
    }
    await expectRefusal(users.main.getUserByToken(refreshToken), invalidToken);
    expect(await users.main.refresh(refreshToken)).toBeDefined();
  });

  test("keeps a login for 14 days without use, and for 90 days with it", async () => {
    await using users = await makeUsers();
    const idle = await users.login("bob");
    users.letPass(idleMsMax);
    await expectRefusal(users.main.refresh(idle.refreshToken), invalidToken);
    let { refreshToken } = await users.login("bob");
    for (let passedMs = 0; passedMs + idleMsMax - 1 < loginMsMax; passedMs += idleMsMax - 1) {
      users.letPass(idleMsMax - 1);
      ({ refreshToken } = await users.main.refresh(refreshToken));
    }
    users.letPass(idleMsMax - 1);
    await expectRefusal(users.main.refresh(refreshToken), invalidToken);
  });

  test("again and again within seconds is refused, and ends nothing", async () => {
    await using users = await makeUsers();
    let { refreshToken } = await users.login("bob");
    for (let n = 0; n < rotationsInGraceMax; n++) ({ refreshToken } = await users.main.refresh(refreshToken));
    const tooOften = { code: "resource_exhausted", reason: "rate_limited", retryAfterMs: 10_000 };
    await expectRefusal(users.main.refresh(refreshToken), tooOften);
    users.letPass(rotationGraceMs);
    expect(await users.main.refresh(refreshToken)).toBeDefined();
  });
});

describe("a login", () => {
  test("is refused to a disabled user as to an unknown one, with the right password too", async () => {
    await using users = await makeUsers();
    await users.deps.store.setEnabled("user2", false, { nowMs: 0 });
    for (const word of [password, "wrong"]) await expectRefusal(users.main.authenticate("bob", word), invalidLogin);
  });

  test("that was refused is in the trail by its account, or by a hash of the name that nobody has", async () => {
    await using users = await makeUsers();
    await expectRefusal(users.main.authenticate("bob", "wrong"), invalidLogin);
    await expectRefusal(users.main.authenticate("my secret password", "bob"), invalidLogin);
    users.letPass(60_000);
    const [one, two] = (await users.trail()).slice(0, 2).sort();
    expect(one).toMatch(/^login_refused >stranger:[\w-]{16}$/);
    expect(two).toBe("login_refused >user2");
  });

  test("puts a stronger hash in the place of one that was made with less work", async () => {
    await using users = await makeUsers();
    const { store, clock } = users.deps;
    const weak = await hash(password.normalize("NFC"), { ...argonOptions, memoryCost: 4_096 });
    const account = { username: "old", email: "old@example.com", role: "user", passwordHash: weak };
    await store.addAccount({ ...account, createdAtMs: clock.now() });
    const hashNow = async () => (await store.accountByName("old"))!.passwordHash;
    expect(isWeakHash(await hashNow())).toBe(true);
    await expectRefusal(users.main.authenticate("old", "wrong"), invalidLogin);
    expect(await hashNow()).toBe(weak);
    await users.login("old");
    const stronger = await hashNow();
    expect(isWeakHash(stronger)).toBe(false);
    await users.login("old");
    expect(await hashNow()).toBe(stronger);
  });

  test("beyond the hundredth ends the oldest, and what came of it", async () => {
    await using users = await makeUsers();
    const { store, clock } = users.deps;
    const first = await users.login("bob");
    using oldest = users.main.account(first.token);
    using user = oldest.user();
    expect(await user.getId()).toBe("user2");
    const { passwordHash: verifiedHash } = (await store.accountById("user2"))!;
    for (let n = 1; n < loginsPerAccountMax; n++) {
      const hashes = { familyHash: `f${n}`, refreshHash: `r${n}`, verifiedHash };
      await store.openLogin({ ...hashes, accountId: "user2", sid: `${n}` }, { nowMs: clock.now() });
    }
    expect(await user.getId()).toBe("user2");
    await users.login("bob");
    await expectRefusal(user.getId(), { code: "permission_denied", reason: "revoked" });
    await expectRefusal(oldest.getProfile(), { code: "permission_denied", reason: "revoked" });
    await expectRefusal(users.main.refresh(first.refreshToken), invalidToken);
  });
});
