import type { Selectable } from "kysely";
import type { Actor } from "../service/audit.ts";
import { prepared, run, type Work } from "../service/database.ts";
import { type Account, accountId, isCanonicalUsername } from "./account.ts";
import type { Standing } from "./login.ts";
import { adminRole, defaultRole } from "./role.ts";
import { record } from "./sql-audit.ts";
import { endLoginsOf, open } from "./sql-logins.ts";
import { type AccountStore, type NewAccount, refusals } from "./store.ts";
import { type AccountTable, type Build, type Db, numberOf, toAccount } from "./tables.ts";

export function accountStore(db: Db): AccountStore {
  const { build } = db;
  return {
    addAccount: (account, by = { nowMs: account.createdAtMs }) => db.unit(() => add(build, account, by)),
    accountByName: async (username) =>
      (await db.read(present(build).where("username", "=", username))).map(toAccount)[0],
    accountById: async (id) => (await db.read(byId(build, id))).map(toAccount)[0],
    async listAccounts({ after, limit } = {}) {
      const from = after === undefined ? 0 : numberOf(after);
      const page = present(build).where("number", ">", from).orderBy("number");
      return (await db.read(limit === undefined ? page : page.limit(limit))).map(toAccount);
    },
    async count() {
      const query = build.selectFrom("accounts").where("state", "<>", "deleted");
      return (await db.read(query.select((eb) => eb.fn.countAll<number>().as("n"))))[0]!.n;
    },
    standing: standingOf(db),
    setEmail: (id, email, by) =>
      db.unit(function* () {
        const account = yield* change(build, id, { email });
        yield* record(build, "email_changed", { by, subjectId: id });
        return account;
      }),
    changePassword: ({ verifiedHash, passwordHash }, login, by) =>
      db.unit(function* () {
        const account = yield* find(build, login.accountId);
        if (!account?.isEnabled || account.passwordHash !== verifiedHash) return undefined;
        yield* change(build, account.id, { password_hash: passwordHash });
        yield* endLoginsOf(build, account.id);
        yield* record(build, "password_changed", { by, subjectId: account.id });
        return (yield* open(build, { ...login, verifiedHash: passwordHash }, by))?.login;
      }),
    setEnabled: (id, isEnabled, by) =>
      db.unit(function* () {
        if (!isEnabled) yield* assertNotLastAdmin(build, id);
        const account = yield* change(build, id, { state: isEnabled ? "enabled" : "disabled" });
        if (!isEnabled) yield* endLoginsOf(build, id);
        yield* record(build, isEnabled ? "user_enabled" : "user_disabled", { by, subjectId: id });
        return account;
      }),
    deleteAccount: (id, by) =>
      db.unit(function* () {
        yield* assertNotLastAdmin(build, id);
        // A role that nobody else has must not be kept alive by somebody who is gone.
        yield* change(build, id, { state: "deleted", email: "", password_hash: "", role: defaultRole });
        yield* endLoginsOf(build, id);
        yield* record(build, "user_deleted", { by, subjectId: id });
      }),
    setRole: (id, role, by) =>
      db.unit(function* () {
        yield* assertRole(build, role);
        if (role !== adminRole) yield* assertNotLastAdmin(build, id);
        const account = yield* change(build, id, { role });
        yield* record(build, "user_role_set", { by, subjectId: id, detail: role });
        return account;
      }),
  };
}

/**
 * Every call on a user's capability asks for it, so it is one query, compiled once, and not asked again while nothing was
 * written.
 */
function standingOf(db: Db): AccountStore["standing"] {
  const { build } = db;
  const standing = ({ number }: { number: number }) =>
    build
      .selectFrom("accounts")
      .selectAll("accounts")
      .select((eb) =>
        eb
          .selectFrom("role_permissions")
          .select(({ fn, val }) => fn<string | null>("string_agg", ["permission", val(" ")]).as("words"))
          .whereRef("role_permissions.role", "=", "accounts.role")
          .as("granted"),
      )
      .where("accounts.number", "=", number)
      .where("accounts.state", "=", "enabled");
  const ofAccount = prepared(standing);
  const ofLogin = prepared(({ sid, number }: { sid: string; number: number }) =>
    standing({ number })
      .innerJoin("logins", "logins.account_number", "accounts.number")
      .select(["logins.idle_ends_at_ms", "logins.ends_at_ms"])
      .where("logins.sid", "=", sid),
  );
  const known = new Map<string, KnownStanding>();

  return async (id, login) => {
    const { revision } = db;
    const key = login ? `${id} ${login.sid}` : id;
    let found = known.get(key);
    if (!found || found.revision !== revision) {
      found = { revision, ...(await ask(numberOf(id), login?.sid)) };
      if (revision !== undefined) keep(key, found);
    }
    const { standing } = found;
    return login && standing && login.nowMs >= standing.endsAtMs ? undefined : standing;
  };

  function keep(key: string, standing: KnownStanding): void {
    if (known.size >= knownMax) known.clear();
    known.set(key, standing);
  }

  async function ask(number: number, sid: string | undefined): Promise<Omit<KnownStanding, "revision">> {
    if (sid === undefined) {
      const [row] = await db.read(ofAccount({ number }));
      return { standing: row && standingIn(row, Number.POSITIVE_INFINITY) };
    }
    const [row] = await db.read(ofLogin({ sid, number }));
    return { standing: row && standingIn(row, Math.min(row.idle_ends_at_ms, row.ends_at_ms)) };
  }
}

function standingIn(row: Selectable<AccountTable> & { readonly granted: string | null }, endsAtMs: number): Standing {
  return { account: toAccount(row), permissions: row.granted?.split(" ") ?? [], endsAtMs };
}

/** Read when the store's revision was `revision`. */
interface KnownStanding {
  readonly revision: number | undefined;
  readonly standing: Standing | undefined;
}

/** Accounts and logins of which it is known. Each takes about 500 B. */
const knownMax = 10_000;

function* add(build: Build, account: NewAccount, by: Actor): Work<Account> {
  const { username, email, role, passwordHash, createdAtMs } = account;
  if (!isCanonicalUsername(username)) throw refusals.spelling();
  const namesakes = yield* run(build.selectFrom("accounts").select("number").where("username", "=", username));
  if (namesakes.length > 0) throw refusals.taken();
  yield* assertRole(build, role);
  const row = { username, email, role, password_hash: passwordHash, created_at_ms: createdAtMs };
  const [added] = yield* run(
    build
      .insertInto("accounts")
      .values({ ...row, state: "enabled" })
      .returningAll(),
  );
  const made = toAccount(added!);
  yield* record(build, "user_created", { by, subjectId: made.id, detail: role });
  return made;
}

function present(build: Build) {
  return build.selectFrom("accounts").selectAll().where("state", "<>", "deleted");
}

function byId(build: Build, id: string) {
  return present(build).where("number", "=", numberOf(id));
}

function* find(build: Build, id: string): Work<Account | undefined> {
  return (yield* run(byId(build, id))).map(toAccount)[0];
}

function* change(build: Build, id: string, to: Partial<Omit<AccountTable, "number">>): Work<Account> {
  const one = build.updateTable("accounts").set(to).where("state", "<>", "deleted");
  const [changed] = yield* run(one.where("number", "=", numberOf(id)).returningAll());
  if (!changed) throw refusals.noAccount();
  return toAccount(changed);
}

function* assertRole(build: Build, role: string): Work<void> {
  const found = yield* run(build.selectFrom("roles").select("name").where("name", "=", role));
  if (found.length === 0) throw refusals.noRole();
}

/** Within the unit that takes one away, so that two at once do not take the last two. */
function* assertNotLastAdmin(build: Build, id: string): Work<void> {
  const admins = build.selectFrom("accounts").select("number").where("role", "=", adminRole);
  const [first, second] = yield* run(admins.where("state", "=", "enabled").limit(2));
  if (first && !second && accountId(first.number) === id) throw refusals.lastAdmin();
}
