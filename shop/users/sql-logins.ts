import type { Actor } from "../service/audit.ts";
import { prepared, run, type Work } from "../service/database.ts";
import { type Account, accountId } from "./account.ts";
import {
  idleMsMax,
  type LoginSession,
  lastUsedStepMs,
  loginMsMax,
  loginsPerAccountMax,
  loginsPurgedMax,
  rotationGraceMs,
  rotationsInGraceMax,
} from "./login.ts";
import { countRefusedLogin, record } from "./sql-audit.ts";
import { type LoginStore, type NewLogin, type Opened, type Rotated, type Rotation, refusals } from "./store.ts";
import { type Build, type Db, numberOf, toAccount, toLogin } from "./tables.ts";

export function loginStore(db: Db): Omit<LoginStore, "refuseLogin"> {
  const { build } = db;
  return {
    openLogin: (login, by) =>
      db.unit(function* () {
        const opened = yield* open(build, login, by);
        if (!opened) yield* countRefusedLogin(build, login.accountId, by);
        return opened;
      }),
    useLogin: useLoginOf(db),
    // With the same salt and successor it was given before, it has the same outcome.
    rotate: (rotation) => db.unit(() => rotate(build, rotation), { isRepeatable: true }),
    listLogins: async (id, nowMs) => {
      const own = build.selectFrom("logins").selectAll().where("account_number", "=", numberOf(id));
      const alive = own.where("idle_ends_at_ms", ">", nowMs).where("ends_at_ms", ">", nowMs);
      return (await db.read(alive.orderBy("number", "desc"))).map(toLogin);
    },
    endLogin: ({ accountId: id, sid }, event, by) =>
      db.unit(function* () {
        const one = build.deleteFrom("logins").where("sid", "=", sid).where("account_number", "=", numberOf(id));
        const ended = yield* run(one.returning("number"));
        if (ended.length === 0) return false;
        yield* record(build, event, { by, subjectId: id, sid });
        return true;
      }),
    endLogins: (id, by) =>
      db.unit(function* () {
        const ended = yield* endLoginsOf(build, id);
        yield* record(build, "logout_everywhere", { by, subjectId: id, detail: `${ended} ended` });
        return ended;
      }),
  };
}

/** Of every call that brings a token, so it is one query, compiled once; the use is written down once a minute. */
function useLoginOf(db: Db): LoginStore["useLogin"] {
  const { build } = db;
  const alive = prepared(({ sid, nowMs }: { sid: string; nowMs: number }) =>
    build
      .selectFrom("logins")
      .innerJoin("accounts", "accounts.number", "logins.account_number")
      .selectAll("accounts")
      .select(["sid", "account_number", "last_used_at_ms", "idle_ends_at_ms", "ends_at_ms"])
      .select("logins.created_at_ms as opened_at_ms")
      .where("sid", "=", sid)
      .where("idle_ends_at_ms", ">", nowMs)
      .where("ends_at_ms", ">", nowMs)
      .where("state", "=", "enabled"),
  );
  return async (sid, nowMs) => {
    const [row] = await db.read(alive({ sid, nowMs }));
    if (!row) return undefined;
    const login = toLogin({ ...row, created_at_ms: row.opened_at_ms });
    const account = toAccount(row);
    if (nowMs - login.lastUsedAtMs < lastUsedStepMs) return { login, account };
    const write = build.updateTable("logins").set({ last_used_at_ms: nowMs }).where("sid", "=", sid);
    await db.unit(() => run(write), { isRepeatable: true, writesOnce: true });
    return { login: { ...login, lastUsedAtMs: nowMs }, account };
  };
}

/** Opens a login, within a unit of the caller's. */
export function* open(build: Build, login: NewLogin, by: Actor): Work<Opened | undefined> {
  const { sid, familyHash, refreshHash, replacementHash } = login;
  const account = yield* enabledAccount(build, login.accountId);
  // Changed or disabled while the password was compared: that took milliseconds, and other units ran.
  if (!account || account.passwordHash !== login.verifiedHash) return undefined;
  if (replacementHash !== undefined) {
    const number = numberOf(account.id);
    yield* run(build.updateTable("accounts").set({ password_hash: replacementHash }).where("number", "=", number));
    yield* record(build, "password_rehashed", { by, subjectId: account.id, sid });
  }
  const ended = yield* makeRoom(build, account.id, by);
  const row = {
    sid,
    account_number: numberOf(account.id),
    family_hash: familyHash,
    refresh_hash: refreshHash,
    created_at_ms: by.nowMs,
    last_used_at_ms: by.nowMs,
    idle_ends_at_ms: by.nowMs + idleMsMax,
    ends_at_ms: by.nowMs + loginMsMax,
  };
  const [opened] = yield* run(build.insertInto("logins").values(row).returningAll());
  yield* record(build, "login", { by: { ...by, accountId: account.id }, subjectId: account.id, sid });
  return { login: toLogin(opened!), ended };
}

/** Removes first, so that the new login is counted but never removed. */
function* makeRoom(build: Build, id: string, by: Actor): Work<LoginSession[]> {
  const numbers = build.selectFrom("logins").select("number");
  const expired = numbers.where("idle_ends_at_ms", "<=", by.nowMs).orderBy("idle_ends_at_ms").limit(loginsPurgedMax);
  const purged = yield* run(build.deleteFrom("logins").where("number", "in", expired).returningAll());
  const oldest = numbers
    .where("account_number", "=", numberOf(id))
    .orderBy("number", "desc")
    .limit(loginsPerAccountMax)
    .offset(loginsPerAccountMax - 1);
  const evicted = yield* run(build.deleteFrom("logins").where("number", "in", oldest).returningAll());
  for (const { sid } of evicted) yield* record(build, "session_evicted", { by, subjectId: id, sid });
  return [...purged, ...evicted].map(toLogin);
}

function* rotate(build: Build, rotation: Rotation): Work<Rotated> {
  const { familyHash, refreshHash, successorHash, salt, nowMs, requestId } = rotation;
  const [row] = yield* run(build.selectFrom("logins").selectAll().where("family_hash", "=", familyHash));
  if (!row || row.idle_ends_at_ms <= nowMs || row.ends_at_ms <= nowMs) return { kind: "unknown" };
  const account = yield* enabledAccount(build, accountId(row.account_number));
  if (!account) return { kind: "unknown" };
  // With its salt the last means of finding a successor goes.
  const ofLogin = build.deleteFrom("rotations").where("login_number", "=", row.number);
  yield* run(ofLogin.where("rotated_at_ms", "<=", nowMs - rotationGraceMs));
  const recent = yield* run(build.selectFrom("rotations").selectAll().where("login_number", "=", row.number));

  if (row.refresh_hash !== refreshHash) {
    const before = recent.find((earlier) => earlier.refresh_hash === refreshHash);
    if (before) return { kind: "rotated", login: toLogin(row), account, salt: before.salt };
    yield* run(build.deleteFrom("logins").where("number", "=", row.number));
    yield* record(build, "refresh_reused", { by: { nowMs, requestId }, subjectId: account.id, sid: row.sid });
    return { kind: "reused", login: toLogin(row) };
  }

  if (recent.length >= rotationsInGraceMax) throw refusals.rotatedTooOften();
  const kept = { login_number: row.number, refresh_hash: refreshHash, salt, rotated_at_ms: nowMs };
  yield* run(build.insertInto("rotations").values(kept));
  const to = {
    refresh_hash: successorHash,
    last_used_at_ms: nowMs,
    idle_ends_at_ms: Math.min(nowMs + idleMsMax, row.ends_at_ms),
  };
  const [rotated] = yield* run(build.updateTable("logins").set(to).where("number", "=", row.number).returningAll());
  return { kind: "rotated", login: toLogin(rotated!), account, salt };
}

/** @returns how many logins of the account there were. */
export function* endLoginsOf(build: Build, id: string): Work<number> {
  const ofAccount = build.deleteFrom("logins").where("account_number", "=", numberOf(id));
  return (yield* run(ofAccount.returning("number"))).length;
}

function* enabledAccount(build: Build, id: string): Work<Account | undefined> {
  const one = build.selectFrom("accounts").selectAll().where("number", "=", numberOf(id));
  return (yield* run(one.where("state", "=", "enabled"))).map(toAccount)[0];
}
