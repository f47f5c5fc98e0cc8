import type { Selectable } from "kysely";
import { run, type Work } from "../service/database.ts";
import { accountNumber } from "./account.ts";
import { type Actor, type AuditEntry, type AuditEvent, auditKeptMs, strangersPerMinuteMax } from "./audit.ts";
import type { AuditStore } from "./store.ts";
import type { AuditTable, Build, Db } from "./tables.ts";

const minuteMs = 60_000;
/** Entries removed by one purge, so that nobody waits for it. */
const purgedMax = 1_000;
/** Under it strangers are counted together once there are too many of them. */
const otherStrangers = "strangers";

export function auditStore(db: Db): AuditStore & { refuseLogin(who: string, by: Actor): Promise<void> } {
  const { build } = db;
  return {
    // What it moves to the trail is moved once; repeated, it finds nothing to move.
    audit: ({ after, limit, subjectId, nowMs }) =>
      db.unit(
        function* () {
          yield* recordRefused(build, nowMs);
          let query = build.selectFrom("audit").selectAll().orderBy("number", "desc").limit(limit);
          if (after !== undefined) query = query.where("number", "<", after);
          if (subjectId !== undefined) query = query.where("subject_id", "=", subjectId);
          return (yield* run(query)).map(toEntry);
        },
        { isRepeatable: true },
      ),
    purgeAudit: (nowMs) =>
      db.unit(
        function* () {
          // Measured from the newest entry, if our clock should be ahead of it: the store's own trigger keeps the rest.
          const newestFirst = build.selectFrom("audit").select("at_ms").orderBy("number", "desc");
          const [newest] = yield* run(newestFirst.limit(1));
          const beforeMs = Math.min(nowMs, newest?.at_ms ?? nowMs) - auditKeptMs;
          const old = build.selectFrom("audit").select("number").where("at_ms", "<", beforeMs);
          const some = old.orderBy("number").limit(purgedMax);
          const purged = build.deleteFrom("audit").where("number", "in", some);
          return (yield* run(purged.returning("number"))).length;
        },
        { isRepeatable: true },
      ),
    refuseLogin: (who, { nowMs, requestId }) =>
      db.unit(function* () {
        yield* recordRefused(build, nowMs);
        const minute = Math.floor(nowMs / minuteMs);
        const row = { minute, who: yield* place(build, minute, who), request_id: requestId ?? null, count: 1 };
        yield* run(
          build
            .insertInto("refused_logins")
            .values(row)
            .onConflict((conflict) =>
              conflict.columns(["minute", "who"]).doUpdateSet((eb) => ({ count: eb("refused_logins.count", "+", 1) })),
            ),
        );
      }),
  };
}

/** Appends one line to the trail, within the unit of what it records. */
export function* record(
  build: Build,
  event: AuditEvent,
  { by, ...entry }: { readonly by: Actor; subjectId?: string; sid?: string | undefined; detail?: string },
): Work<void> {
  yield* recordRefused(build, by.nowMs);
  yield* run(
    build.insertInto("audit").values({
      at_ms: by.nowMs,
      event,
      actor_id: by.accountId ?? null,
      subject_id: entry.subjectId ?? null,
      sid: entry.sid ?? by.sid ?? null,
      request_id: by.requestId ?? null,
      detail: entry.detail ?? null,
      count: 1,
    }),
  );
}

/** Moves the counts of minutes that are over to the trail; the requestId is that of the first refusal of the minute. */
function* recordRefused(build: Build, nowMs: number): Work<void> {
  const over = build.deleteFrom("refused_logins").where("minute", "<", Math.floor(nowMs / minuteMs));
  const rows = (yield* run(over.returningAll())).sort((a, b) => a.minute - b.minute || (a.who < b.who ? -1 : 1));
  for (const { minute, who, request_id, count } of rows) {
    const entry = { at_ms: minute * minuteMs, event: "login_refused" as const, subject_id: who, request_id, count };
    yield* run(build.insertInto("audit").values(entry));
  }
}

/** `who`, or the place of the many when there are too many strangers already. */
function* place(build: Build, minute: number, who: string): Work<string> {
  if (accountNumber(who) !== undefined) return who;
  const refused = build.selectFrom("refused_logins").where("minute", "=", minute);
  const known = yield* run(refused.where("who", "=", who).select("who"));
  if (known.length > 0) return who;
  const [row] = yield* run(refused.where("who", "not like", "user%").select((eb) => eb.fn.countAll<number>().as("n")));
  return row!.n < strangersPerMinuteMax ? who : otherStrangers;
}

function toEntry(row: Selectable<AuditTable>): AuditEntry {
  return {
    number: row.number,
    atMs: row.at_ms,
    event: row.event,
    ...(row.actor_id !== null && { actorId: row.actor_id }),
    ...(row.subject_id !== null && { subjectId: row.subject_id }),
    ...(row.sid !== null && { sid: row.sid }),
    ...(row.request_id !== null && { requestId: row.request_id }),
    ...(row.detail !== null && { detail: row.detail }),
    count: row.count,
  };
}
