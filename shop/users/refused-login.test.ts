import { systemClock as clock, FlotillaError } from "@flotilla/kit";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import type { Database, Work } from "../service/database.ts";
import { openPostgres } from "../service/postgres.ts";
import { openSqlite } from "../service/sqlite.ts";
import type { AccessTokens } from "./access-token.ts";
import { authenticate } from "./authentication.ts";
import { alice, bob } from "./fixtures/stores.ts";
import type { Passwords } from "./password.ts";
import { makeRevokers } from "./revokers.ts";
import { migrations, userStore } from "./store-sql.ts";
import type { Db, Tables } from "./tables.ts";

let postgres: PostgresServer | undefined;
beforeAll(async () => {
  if (!whyNoPostgres) postgres = await startPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());

const password = "password";

/** `db`, which notes every query and the ends of every unit. */
function noting(db: Database<Tables>, note: (step: string) => void): Db {
  function* noted<T>(work: Work<T>): Work<T> {
    note("unit");
    let step = work.next();
    while (!step.done) {
      note(step.value.compile().sql);
      step = work.next(yield step.value);
    }
    note("end of unit");
    return step.value;
  }
  return {
    ...db,
    unit: (work, options) => db.unit(() => noted(work()), options),
    read(query) {
      note(query.compile().sql);
      return db.read(query);
    },
  };
}

/** As hard for every password, and told apart by its text. */
function notingPasswords(note: (step: string) => void): Passwords {
  return {
    async hash(text) {
      note("hash");
      return `hash of ${text}`;
    },
    async verify(passwordHash, text) {
      note("verify");
      return passwordHash === `hash of ${text}`;
    },
  };
}

test.for([
  ["SQLite", () => openSqlite<Tables>(":memory:", migrations)],
  ["PostgreSQL", () => openPostgres<Tables>(postgres!.place(), migrations)],
] as const)(
  "on %s a login is refused by the same queries and hashes, whatever is wrong with it",
  async ([name, open], { skip }) => {
    if (name === "PostgreSQL" && whyNoPostgres) skip(whyNoPostgres);
    let steps: string[] = [];
    const note = (step: string) => steps.push(step);
    const store = userStore(noting(await open(), note));
    onTestFinished(() => store.close());
    const passwordHash = `hash of ${password}`;
    await store.addAccount({ ...alice, passwordHash });
    for (const username of ["bob", "carol", "dave"]) await store.addAccount({ ...bob, username, passwordHash });
    await store.setEnabled("user3", false, { nowMs: 0 });
    await store.deleteAccount("user4", { nowMs: 0 });
    const tokens = {} as AccessTokens;
    const deps = { clock, store, passwords: notingPasswords(note), tokens, revokers: makeRevokers() };
    const stepsOf = async (username: string, word: string) => {
      steps = [];
      await expect(authenticate(deps, username, word)).rejects.toThrow(FlotillaError);
      return steps;
    };
    const unknown = await stepsOf("mallory", password);
    expect(unknown.filter((step) => step === "unit" || step === "verify")).toEqual(["verify", "unit"]);
    for (const [username, word] of [
      ["mallory", password],
      ["bob", "wrong"],
      ["carol", password],
      ["carol", "wrong"],
      ["dave", password],
    ] as const) {
      expect(await stepsOf(username, word), username).toEqual(unknown);
    }
  },
);
