import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import { auditKeptMs } from "../service/audit.ts";
import { strangersPerMinuteMax } from "./audit.ts";
import { alice, bob, loginOf, makeStoreFile, type StoreFile, startMs, storeKinds } from "./fixtures/stores.ts";
import type { UserStore } from "./store.ts";
import { openSqliteUserStore } from "./store-sql.ts";

let directory: StoreFile;
beforeEach(() => {
  directory = makeStoreFile();
});
afterEach(() => directory[Symbol.dispose]());

const minuteMs = 60_000;
const requestId = "0123456789abcdef0123456789abcdef";
const byAlice = { accountId: "user1", sid: "a-login", requestId, nowMs: startMs };

let postgres: PostgresServer | undefined;
beforeAll(async () => {
  if (!whyNoPostgres) postgres = await startPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());

describe.each(storeKinds)("the audit trail of a store in %s", (kind, open) => {
  let store: UserStore;
  beforeEach(async ({ skip }) => {
    if (kind === "postgres" && whyNoPostgres) skip(whyNoPostgres);
    store = await open({ file: directory.file, postgres });
    await store.addAccount(alice);
    await store.addAccount(bob);
  });
  afterEach(() => store?.close());

  const trail = (nowMs = startMs) => store.audit({ limit: 1_000, nowMs });

  it("says who did what to whom, from which login and in which request", async () => {
    await store.setEnabled("user2", false, byAlice);
    await store.setRole("user2", "moderator", byAlice);
    const common = { actorId: "user1", subjectId: "user2", sid: "a-login", requestId, atMs: startMs, count: 1 };
    expect(await store.audit({ limit: 2, nowMs: startMs })).toEqual([
      { ...common, number: 4, event: "user_role_set", detail: "moderator" },
      { ...common, number: 3, event: "user_disabled" },
    ]);
  });

  it("is read in pages, of one account or of all", async () => {
    const numbers = async (before?: number, subjectId?: string) =>
      (await store.audit({ before, limit: 1, subjectId, nowMs: startMs })).map(({ number }) => number);
    expect([await numbers(), await numbers(2), await numbers(1)]).toEqual([[2], [1], []]);
    expect([await numbers(undefined, "user1"), await numbers(1, "user1")]).toEqual([[1], []]);
  });

  it("has nothing of what did not happen", async () => {
    await expect(store.setEnabled("user1", false, byAlice)).rejects.toThrow();
    await expect(store.setRole("user2", "nobody", byAlice)).rejects.toThrow();
    await expect(store.deleteAccount("user9", byAlice)).rejects.toThrow();
    expect(await trail()).toHaveLength(2);
  });

  it("counts refused logins by account and minute, and has them when the minute is over", async () => {
    const refuse = (who: string, nowMs: number) => store.refuseLogin(who, { nowMs, requestId });
    for (let n = 0; n < 200; n++) await refuse("user2", startMs + n);
    await refuse("stranger:x", startMs);
    expect(await trail()).toHaveLength(2);
    await refuse("user2", startMs + minuteMs);
    const refused = (await trail(startMs + 2 * minuteMs)).filter(({ event }) => event === "login_refused");
    expect(refused.map(({ subjectId, count }) => [subjectId, count])).toEqual([
      ["user2", 1],
      ["user2", 200],
      ["stranger:x", 1],
    ]);
    expect(refused[1]).toMatchObject({ requestId });
  });

  it("counts what somebody was refused for want of a permission, by permission and minute", async () => {
    for (let n = 0; n < 20; n++) await store.refuse("user.delete", { accountId: "user2", nowMs: startMs, requestId });
    await store.refuse("system.admin", { accountId: "user2", nowMs: startMs });
    const refused = (await trail(startMs + minuteMs)).filter(({ event }) => event === "permission_refused");
    expect(refused.map(({ subjectId, detail, count }) => [subjectId, detail, count]).sort()).toEqual([
      ["user2", "system.admin", 1],
      ["user2", "user.delete", 20],
    ]);
  });

  it("says who was introduced, by whom, and to which service", async () => {
    await store.noteIntroduction(
      { gifter: "gateway", recipient: "orders" },
      { accountId: "user2", sid: "b", nowMs: startMs },
    );
    const entry = { event: "introduced", actorId: "user2", subjectId: "user2", sid: "b", detail: "gateway to orders" };
    expect((await trail())[0]).toMatchObject(entry);
  });

  it("grows by a bounded number of lines a minute, however many names a flood makes up", async () => {
    for (let n = 0; n < strangersPerMinuteMax + 50; n++) {
      await store.refuseLogin(`stranger:${n}`, { nowMs: startMs });
    }
    await store.refuseLogin("user2", { nowMs: startMs });
    const refused = (await trail(startMs + minuteMs)).filter(({ event }) => event === "login_refused");
    expect(refused).toHaveLength(strangersPerMinuteMax + 2);
    expect(refused.find(({ subjectId }) => subjectId === "strangers")?.count).toBe(50);
    expect(refused.find(({ subjectId }) => subjectId === "user2")?.count).toBe(1);
  });

  it("is purged of what is older than 400 days, and of nothing else", async () => {
    expect(await store.purgeAudit(startMs + auditKeptMs)).toBe(0);
    const nowMs = startMs + auditKeptMs + 1;
    // Nothing newer is there: a clock that is ahead removes nothing.
    expect(await store.purgeAudit(nowMs)).toBe(0);
    await store.openLogin(loginOf("user2", "phone").login, { nowMs });
    expect(await store.purgeAudit(nowMs)).toBe(2);
    expect((await trail(nowMs)).map(({ event }) => event)).toEqual(["login"]);
  });
});

it("nothing that reaches the file through SQL changes or removes a line of the trail", async () => {
  const store = openSqliteUserStore(directory.file);
  await store.addAccount(alice);
  store.close();
  const db = new DatabaseSync(directory.file);
  expect(() => db.exec("UPDATE audit SET actor_id = 'user2'")).toThrow("append-only");
  expect(() => db.exec("DELETE FROM audit")).toThrow("400 days");
  expect(() => db.exec("INSERT OR REPLACE INTO audit (number, at_ms, event, count) VALUES (1, 1, 'login', 1)")).toThrow(
    "append-only",
  );
  db.close();
});
