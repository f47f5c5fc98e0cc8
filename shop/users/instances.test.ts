import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import type { PostgresPlace } from "../service/postgres-place.ts";
import { alice, bob, loginOf, startMs } from "./fixtures/stores.ts";
import { expectRefusal, makeUsers } from "./fixtures/users.ts";
import { hashesOf, newSalt, successorOf } from "./refresh-token.ts";
import { openUserStore } from "./store-sql.ts";

const revoked = { code: "permission_denied", reason: "revoked" };

describe.skipIf(whyNoPostgres)(
  `two User Services on one PostgreSQL${whyNoPostgres ? ` (${whyNoPostgres})` : ""}`,
  () => {
    let server: PostgresServer;
    let place: PostgresPlace;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(() => {
      place = server.place();
    });

    async function openTwo() {
      const stores = await Promise.all([openUserStore(place), openUserStore(place)]);
      return { stores, [Symbol.asyncDispose]: () => Promise.all(stores.map((store) => store.close())).then(() => {}) };
    }

    describe("with keys of their own", () => {
      it("believe each other's tokens, also those of a key that was made a moment ago", async () => {
        await using two = await openTwo();
        await using a = await makeUsers({ store: two.stores[0] });
        await using b = await makeUsers({ store: two.stores[1], isFirst: false });
        const ofA = await a.login("bob");
        const ofB = await b.login("alice");
        using bobAtB = await b.main.getUserByToken(ofA.token);
        using aliceAtA = await a.main.getUserByToken(ofB.token);
        expect([await bobAtB.getUsername(), await aliceAtA.getUsername()]).toEqual(["bob", "alice"]);
        expect(readdirSync(a.keyDirectory)).not.toEqual(readdirSync(b.keyDirectory));
      });

      it("end a capability that one of them hosts when its login is ended at the other", async () => {
        await using two = await openTwo();
        await using a = await makeUsers({ store: two.stores[0] });
        await using b = await makeUsers({ store: two.stores[1], isFirst: false });
        const { token } = await a.login("bob");
        using user = await b.main.getUserByToken(token);
        using account = await b.main.account(token);
        using administration = account.administration();
        expect(await user.hasPermission("order.create")).toBe(true);

        using accountAtA = await a.main.account(token);
        expect(await accountAtA.logout()).toEqual({ ended: 1 });

        for (const call of [
          user.hasPermission("order.create"),
          user.getEmail(),
          account.getProfile(),
          account.editProfile({ email: "x@example.com" }),
          account.changePassword("a password", "another password"),
          account.listSessions(),
          account.endSession("another"),
          account.logoutEverywhere(),
          administration.listUsers(),
        ]) {
          await expectRefusal(call, revoked);
        }
        await expectRefusal(b.main.getUserByToken(token), { code: "unauthenticated" });
      });

      it("no longer believe a key that was taken away from the other", async () => {
        await using two = await openTwo();
        await using a = await makeUsers({ store: two.stores[0] });
        await using b = await makeUsers({ store: two.stores[1], isFirst: false, tokenLifetimeMs: 600_000 });
        const { token } = await a.login("bob");
        (await b.main.getUserByToken(token))[Symbol.dispose]();
        for (const file of readdirSync(a.keyDirectory)) rmSync(join(a.keyDirectory, file));
        a.letPass(60_000);
        const after = await a.login("bob");
        b.letPass(60_000);
        await expectRefusal(b.main.getUserByToken(token), { code: "unauthenticated" });
        using user = await b.main.getUserByToken(after.token);
        expect(await user.getUsername()).toBe("bob");
      });
    });

    describe("racing each other", () => {
      it("leave one administrator, in each of many rounds", async () => {
        await using two = await openTwo();
        const [a, b] = two.stores as [(typeof two.stores)[0], (typeof two.stores)[0]];
        await a.addAccount(alice);
        await a.addAccount({ ...bob, role: "admin" });
        const by = { nowMs: startMs };
        for (let round = 0; round < 15; round++) {
          const outcomes = await Promise.allSettled([a.setRole("user1", "user", by), b.setEnabled("user2", false, by)]);
          const refused = outcomes.filter((outcome) => outcome.status === "rejected");
          expect(refused.map(({ reason }) => reason.reason)).toEqual(["last_admin"]);
          await a.setEnabled("user2", true, by);
          await a.setRole("user1", "admin", by);
        }
      });

      it("give a refresh token one successor, and a stolen one ends the login", async () => {
        await using two = await openTwo();
        const [a] = two.stores;
        await a!.addAccount(alice);
        const { login, refreshToken } = loginOf("user1", "phone");
        await a!.openLogin(login, { nowMs: startMs });
        let token = refreshToken;
        for (let round = 0; round < 15; round++) {
          const rotations = Array.from({ length: 6 }, (_, n) => {
            const salt = newSalt();
            const successorHash = hashesOf(successorOf(token, salt))!.refreshHash;
            // Each round after the time of grace of the one before.
            const nowMs = startMs + round * 60_000;
            return two.stores[n % 2]!.rotate({ ...hashesOf(token)!, successorHash, salt, nowMs });
          });
          const salts = new Set(
            (await Promise.all(rotations)).map((rotated) => rotated.kind === "rotated" && rotated.salt),
          );
          expect(salts.size).toBe(1);
          token = successorOf(token, [...salts][0] as string);
        }
        const salt = newSalt();
        const successorHash = hashesOf(successorOf(refreshToken, salt))!.refreshHash;
        const theft = { ...hashesOf(refreshToken)!, successorHash, salt, nowMs: startMs + 20 * 60_000 };
        const thefts = await Promise.all(two.stores.map((store) => store.rotate(theft)));
        expect(thefts.map(({ kind }) => kind).sort()).toEqual(["reused", "unknown"]);
      });

      it("let nobody in whose password was changed at the other meanwhile", async () => {
        await using two = await openTwo();
        const [a, b] = two.stores;
        await a!.addAccount(alice);
        const by = { nowMs: startMs };
        for (let round = 0; round < 10; round++) {
          const was = round === 0 ? alice.passwordHash : `hash ${round - 1}`;
          const { login } = loginOf("user1", `new ${round}`);
          const change = a!.changePassword({ verifiedHash: was, passwordHash: `hash ${round}` }, login, by);
          await Promise.all([
            change,
            b!.openLogin({ ...loginOf("user1", `old ${round}`).login, verifiedHash: was }, by),
          ]);
          const alive = (await a!.listLogins("user1", startMs)).map(({ sid }) => sid);
          expect(alive).toEqual([`new ${round}`]);
        }
      });

      it("give a name once, and a role that somebody gets is not deleted at the other", async () => {
        await using two = await openTwo();
        const [a, b] = two.stores;
        const by = { nowMs: startMs };
        await a!.addAccount(alice);
        for (let round = 0; round < 10; round++) {
          const one = { ...bob, username: `eve${round}` };
          const added = await Promise.allSettled([a!.addAccount(one), b!.addAccount(one)]);
          expect(added.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
          const role = `clerk${round}`;
          await a!.createRole({ name: role, permissions: ["order.view"] }, by);
          await Promise.allSettled([
            a!.deleteRole(role, by),
            b!.setRole("user1", "admin", by),
            b!.addAccount({ ...bob, username: `x${round}`, role }),
          ]);
          const held = (await a!.listAccounts()).some((account) => account.role === role);
          expect((await b!.listRoles()).some(({ name }) => name === role)).toBe(held);
        }
      });
    });

    it("nothing that reaches the database through SQL changes or removes a line of the trail", async () => {
      await using two = await openTwo();
      await two.stores[0]!.addAccount(alice);
      const at = `SET search_path = ${place.schema}`;
      const attempt = (sql: string) => server.sql(`${at}; ${sql}`);
      await expect(attempt("UPDATE audit SET actor_id = 'user2'")).rejects.toThrow("append-only");
      await expect(attempt("TRUNCATE audit")).rejects.toThrow("append-only");
      await expect(attempt("DELETE FROM audit")).rejects.toThrow("400 days");
      await expect(
        attempt("INSERT INTO audit (number, at_ms, event, count) VALUES (1, 1, 'login', 1)"),
      ).rejects.toThrow("number");
      expect(await two.stores[1]!.audit({ limit: 10, nowMs: startMs })).toHaveLength(1);
    });
  },
);
