import { prepared } from "../service/sqlite.ts";
import { type Account, accountId, isCanonicalUsername } from "./account.ts";
import type { Actor } from "./audit.ts";
import { adminRole, defaultRole } from "./role.ts";
import { record } from "./sqlite-audit.ts";
import { endLoginsOf, open } from "./sqlite-logins.ts";
import { type AccountStore, type NewAccount, refusals } from "./store.ts";
import { type AccountTable, type Db, numberOf, readOf, toAccount, type Unit, unitOf } from "./tables.ts";

export function accountStore(db: Db): AccountStore {
  return {
    addAccount: (account, by = { nowMs: account.createdAtMs }) => unitOf(db, (unit) => add(unit, account, by)),
    accountByName: (username) =>
      readOf(db, (unit) => unit.run(present(unit).where("username", "=", username)).map(toAccount)[0]),
    accountById: (id) => readOf(db, (unit) => find(unit, id)),
    listAccounts: ({ after, limit } = { limit: -1 }) =>
      readOf(db, (unit) => {
        const from = after === undefined ? 0 : numberOf(after);
        return unit.run(present(unit).where("number", ">", from).orderBy("number").limit(limit)).map(toAccount);
      }),
    count: () =>
      readOf(db, ({ build, run }) => {
        const query = build.selectFrom("accounts").where("state", "<>", "deleted");
        return run(query.select((eb) => eb.fn.countAll<number>().as("n")))[0]!.n;
      }),
    standing: standingOf(db),
    setEmail: (id, email, by) =>
      unitOf(db, (unit) => {
        const account = change(unit, id, { email });
        record(unit, "email_changed", { by, subjectId: id });
        return account;
      }),
    changePassword: ({ verifiedHash, passwordHash }, login, by) =>
      unitOf(db, (unit) => {
        const account = find(unit, login.accountId);
        if (!account?.isEnabled || account.passwordHash !== verifiedHash) return undefined;
        change(unit, account.id, { password_hash: passwordHash });
        endLoginsOf(unit, account.id);
        record(unit, "password_changed", { by, subjectId: account.id });
        return open(unit, { ...login, verifiedHash: passwordHash }, by)?.login;
      }),
    setEnabled: (id, isEnabled, by) =>
      unitOf(db, (unit) => {
        if (!isEnabled) assertNotLastAdmin(unit, id);
        const account = change(unit, id, { state: isEnabled ? "enabled" : "disabled" });
        if (!isEnabled) endLoginsOf(unit, id);
        record(unit, isEnabled ? "user_enabled" : "user_disabled", { by, subjectId: id });
        return account;
      }),
    deleteAccount: (id, by) =>
      unitOf(db, (unit) => {
        assertNotLastAdmin(unit, id);
        // A role that nobody else has must not be kept alive by somebody who is gone.
        change(unit, id, { state: "deleted", email: "", password_hash: "", role: defaultRole });
        endLoginsOf(unit, id);
        record(unit, "user_deleted", { by, subjectId: id });
      }),
    setRole: (id, role, by) =>
      unitOf(db, (unit) => {
        assertRole(unit, role);
        if (role !== adminRole) assertNotLastAdmin(unit, id);
        const account = change(unit, id, { role });
        record(unit, "user_role_set", { by, subjectId: id, detail: role });
        return account;
      }),
  };
}

/** Of every call on a user's capability, so it is one query, compiled once. */
function standingOf(db: Db): AccountStore["standing"] {
  const { build } = db;
  const standing = ({ number }: { number: number }) =>
    build
      .selectFrom("accounts")
      .selectAll()
      .select((eb) =>
        eb
          .selectFrom("role_permissions")
          .select(({ fn, val }) => fn<string>("group_concat", ["permission", val(" ")]).as("words"))
          .whereRef("role_permissions.role", "=", "accounts.role")
          .as("granted"),
      )
      .where("number", "=", number)
      .where("state", "=", "enabled");
  const ofAccount = prepared(standing);
  const ofLogin = prepared((it: { sid: string; number: number; nowMs: number }) =>
    standing(it).where(({ exists, selectFrom }) =>
      exists(
        selectFrom("logins")
          .select("logins.number")
          .where("sid", "=", it.sid)
          .where("account_number", "=", it.number)
          .where("idle_ends_at_ms", ">", it.nowMs)
          .where("ends_at_ms", ">", it.nowMs),
      ),
    ),
  );
  return (id, login) =>
    db.read((run) => {
      const number = numberOf(id);
      const [row] = run(login ? ofLogin({ ...login, number }) : ofAccount({ number }));
      return row && { account: toAccount(row), permissions: row.granted?.split(" ") ?? [] };
    });
}

function add(unit: Unit, account: NewAccount, by: Actor): Account {
  const { build, run } = unit;
  const { username, email, role, passwordHash, createdAtMs } = account;
  if (!isCanonicalUsername(username)) throw refusals.spelling();
  if (run(build.selectFrom("accounts").select("number").where("username", "=", username)).length > 0) {
    throw refusals.taken();
  }
  assertRole(unit, role);
  const row = { username, email, role, password_hash: passwordHash, created_at_ms: createdAtMs };
  const [added] = run(
    build
      .insertInto("accounts")
      .values({ ...row, state: "enabled" })
      .returningAll(),
  );
  const made = toAccount(added!);
  record(unit, "user_created", { by, subjectId: made.id, detail: role });
  return made;
}

function present({ build }: Unit) {
  return build.selectFrom("accounts").selectAll().where("state", "<>", "deleted");
}

function find(unit: Unit, id: string): Account | undefined {
  return unit.run(present(unit).where("number", "=", numberOf(id))).map(toAccount)[0];
}

function change(unit: Unit, id: string, to: Partial<Omit<AccountTable, "number">>): Account {
  const { build, run } = unit;
  const one = build.updateTable("accounts").set(to).where("state", "<>", "deleted");
  const [changed] = run(one.where("number", "=", numberOf(id)).returningAll());
  if (!changed) throw refusals.noAccount();
  return toAccount(changed);
}

function assertRole({ build, run }: Unit, role: string): void {
  if (run(build.selectFrom("roles").select("name").where("name", "=", role)).length === 0) throw refusals.noRole();
}

/** Within the unit that takes one away, so that two at once do not take the last two. */
function assertNotLastAdmin({ build, run }: Unit, id: string): void {
  const admins = build.selectFrom("accounts").select("number").where("role", "=", adminRole);
  const [first, second] = run(admins.where("state", "=", "enabled").limit(2));
  if (first && !second && accountId(first.number) === id) throw refusals.lastAdmin();
}
