import { type Account, accountId } from "./account.ts";
import type { Actor } from "./audit.ts";
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
import { record } from "./sqlite-audit.ts";
import { type LoginStore, type NewLogin, type Opened, type Rotated, type Rotation, refusals } from "./store.ts";
import { type Db, numberOf, readOf, toAccount, toLogin, type Unit, unitOf } from "./tables.ts";

export function loginStore(db: Db): Omit<LoginStore, "refuseLogin"> {
  return {
    openLogin: (login, by) => unitOf(db, (unit) => open(unit, login, by)),
    useLogin: (sid, nowMs) =>
      unitOf(db, (unit) => {
        const login = aliveLogin(unit, sid, nowMs);
        const account = login && enabledAccount(unit, login.accountId);
        if (!account) return undefined;
        if (nowMs - login.lastUsedAtMs < lastUsedStepMs) return { login, account };
        const { build, run } = unit;
        run(build.updateTable("logins").set({ last_used_at_ms: nowMs }).where("sid", "=", sid));
        return { login: { ...login, lastUsedAtMs: nowMs }, account };
      }),
    rotate: (rotation) => unitOf(db, (unit) => rotate(unit, rotation)),
    listLogins: (id, nowMs) =>
      readOf(db, ({ build, run }) => {
        const own = build.selectFrom("logins").selectAll().where("account_number", "=", numberOf(id));
        const alive = own.where("idle_ends_at_ms", ">", nowMs).where("ends_at_ms", ">", nowMs);
        return run(alive.orderBy("number", "desc")).map(toLogin);
      }),
    endLogin: ({ accountId: id, sid }, event, by) =>
      unitOf(db, (unit) => {
        const { build, run } = unit;
        const one = build.deleteFrom("logins").where("sid", "=", sid).where("account_number", "=", numberOf(id));
        if (run(one.returning("number")).length === 0) return false;
        record(unit, event, { by, subjectId: id, sid });
        return true;
      }),
    endLogins: (id, by) =>
      unitOf(db, (unit) => {
        const ended = endLoginsOf(unit, id);
        record(unit, "logout_everywhere", { by, subjectId: id, detail: `${ended} ended` });
        return ended;
      }),
  };
}

/** Opens a login, within a unit of the caller's. */
export function open(unit: Unit, login: NewLogin, by: Actor): Opened | undefined {
  const { build, run } = unit;
  const { sid, familyHash, refreshHash, replacementHash } = login;
  const account = enabledAccount(unit, login.accountId);
  // Changed or disabled while the password was compared: that took milliseconds, and other units ran.
  if (account?.passwordHash !== login.verifiedHash) return undefined;
  if (replacementHash !== undefined) {
    const number = numberOf(account.id);
    run(build.updateTable("accounts").set({ password_hash: replacementHash }).where("number", "=", number));
    record(unit, "password_rehashed", { by, subjectId: account.id, sid });
  }
  const ended = makeRoom(unit, account.id, by);
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
  const [opened] = run(build.insertInto("logins").values(row).returningAll());
  record(unit, "login", { by: { ...by, accountId: account.id }, subjectId: account.id, sid });
  return { login: toLogin(opened!), ended };
}

/** Removes first, so that the new login is counted but never removed. */
function makeRoom(unit: Unit, id: string, by: Actor): LoginSession[] {
  const { build, run } = unit;
  const numbers = build.selectFrom("logins").select("number");
  const expired = numbers.where("idle_ends_at_ms", "<=", by.nowMs).orderBy("idle_ends_at_ms").limit(loginsPurgedMax);
  const purged = run(build.deleteFrom("logins").where("number", "in", expired).returningAll());
  const oldest = numbers
    .where("account_number", "=", numberOf(id))
    .orderBy("number", "desc")
    .limit(-1)
    .offset(loginsPerAccountMax - 1);
  const evicted = run(build.deleteFrom("logins").where("number", "in", oldest).returningAll());
  for (const { sid } of evicted) record(unit, "session_evicted", { by, subjectId: id, sid });
  return [...purged, ...evicted].map(toLogin);
}

function rotate(unit: Unit, { familyHash, refreshHash, successorHash, salt, nowMs, requestId }: Rotation): Rotated {
  const { build, run } = unit;
  const [row] = run(build.selectFrom("logins").selectAll().where("family_hash", "=", familyHash));
  if (!row || row.idle_ends_at_ms <= nowMs || row.ends_at_ms <= nowMs) return { kind: "unknown" };
  const account = enabledAccount(unit, accountId(row.account_number));
  if (!account) return { kind: "unknown" };
  // With its salt the last means of finding a successor goes.
  const ofLogin = build.deleteFrom("rotations").where("login_number", "=", row.number);
  run(ofLogin.where("rotated_at_ms", "<=", nowMs - rotationGraceMs));
  const recent = run(build.selectFrom("rotations").selectAll().where("login_number", "=", row.number));

  if (row.refresh_hash !== refreshHash) {
    const before = recent.find((rotation) => rotation.refresh_hash === refreshHash);
    if (before) return { kind: "rotated", login: toLogin(row), account, salt: before.salt };
    run(build.deleteFrom("logins").where("number", "=", row.number));
    record(unit, "refresh_reused", { by: { nowMs, requestId }, subjectId: account.id, sid: row.sid });
    return { kind: "reused", login: toLogin(row) };
  }

  if (recent.length >= rotationsInGraceMax) throw refusals.rotatedTooOften();
  const rotation = { login_number: row.number, refresh_hash: refreshHash, salt, rotated_at_ms: nowMs };
  run(build.insertInto("rotations").values(rotation));
  const to = {
    refresh_hash: successorHash,
    last_used_at_ms: nowMs,
    idle_ends_at_ms: Math.min(nowMs + idleMsMax, row.ends_at_ms),
  };
  const [rotated] = run(build.updateTable("logins").set(to).where("number", "=", row.number).returningAll());
  return { kind: "rotated", login: toLogin(rotated!), account, salt };
}

/** @returns how many logins of the account there were. */
export function endLoginsOf({ build, run }: Unit, id: string): number {
  return run(build.deleteFrom("logins").where("account_number", "=", numberOf(id)).returning("number")).length;
}

function aliveLogin({ build, run }: Unit, sid: string, nowMs: number): LoginSession | undefined {
  const one = build.selectFrom("logins").selectAll().where("sid", "=", sid);
  return run(one.where("idle_ends_at_ms", ">", nowMs).where("ends_at_ms", ">", nowMs)).map(toLogin)[0];
}

function enabledAccount({ build, run }: Unit, id: string): Account | undefined {
  const one = build.selectFrom("accounts").selectAll().where("number", "=", numberOf(id));
  return run(one.where("state", "=", "enabled")).map(toAccount)[0];
}
