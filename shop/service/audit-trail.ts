import type { Generated, Kysely, Selectable } from "kysely";
import { type Actor, type AuditEntry, auditKeptMs, type TrailPage } from "./audit.ts";
import { run, type Work } from "./database.ts";

const minuteMs = 60_000;
/** Entries removed by one purge, so that nobody waits for it. */
const purgedMax = 1_000;

interface AuditTable {
  number: Generated<number>;
  at_ms: number;
  event: string;
  actor_id: string | null;
  subject_id: string | null;
  sid: string | null;
  request_id: string | null;
  detail: string | null;
  count: number;
}

/** What a service's store has for its trail, as `auditTables` and `refusalsTable` make it. */
export interface AuditTables {
  audit: AuditTable;
  refusals: { minute: number; event: string; who: string; detail: string; request_id: string | null; count: number };
}

export type AuditBuild = Kysely<AuditTables>;

/** What an entry says beside its event. */
export interface Noted {
  readonly by: Actor;
  readonly subjectId?: string | undefined;
  readonly sid?: string | undefined;
  readonly detail?: string | undefined;
}

/** Who was refused something, and what. */
export interface Refused {
  readonly who: string;
  readonly detail?: string;
  readonly by: Pick<Actor, "nowMs" | "requestId">;
}

/** Appends one line to the trail, within the unit of what it records. */
export function* record(build: AuditBuild, event: string, { by, subjectId, sid, detail }: Noted): Work<void> {
  yield* settleRefusals(build, by.nowMs);
  yield* run(
    build.insertInto("audit").values({
      at_ms: by.nowMs,
      event,
      actor_id: by.accountId ?? null,
      subject_id: subjectId ?? null,
      sid: sid ?? by.sid ?? null,
      request_id: by.requestId ?? null,
      detail: detail ?? null,
      count: 1,
    }),
  );
}

/** Counts a refusal: a minute's are one line of the trail, so that a flood of them fills no disk. */
export function* countRefusal(build: AuditBuild, event: string, { who, detail = "", by }: Refused): Work<void> {
  yield* settleRefusals(build, by.nowMs);
  const row = { minute: minuteOf(by.nowMs), event, who, detail, request_id: by.requestId ?? null, count: 1 };
  yield* run(
    build
      .insertInto("refusals")
      .values(row)
      .onConflict((conflict) =>
        conflict
          .columns(["minute", "event", "who", "detail"])
          .doUpdateSet((eb) => ({ count: eb("refusals.count", "+", 1) })),
      ),
  );
}

/** Moves the counts of minutes that are over to the trail; the requestId is that of the first refusal of the minute. */
function* settleRefusals(build: AuditBuild, nowMs: number): Work<void> {
  const over = build.deleteFrom("refusals").where("minute", "<", minuteOf(nowMs));
  const rows = (yield* run(over.returningAll())).sort((a, b) => a.minute - b.minute || (a.who < b.who ? -1 : 1));
  for (const { minute, event, who, detail, request_id, count } of rows) {
    const entry = { at_ms: minute * minuteMs, event, subject_id: who, request_id, detail: detail || null, count };
    yield* run(build.insertInto("audit").values(entry));
  }
}

export function* readTrail(build: AuditBuild, { before, limit, subjectId, nowMs }: TrailPage): Work<AuditEntry[]> {
  yield* settleRefusals(build, nowMs);
  let query = build.selectFrom("audit").selectAll().orderBy("number", "desc").limit(limit);
  if (before !== undefined) query = query.where("number", "<", before);
  if (subjectId !== undefined) query = query.where("subject_id", "=", subjectId);
  return (yield* run(query)).map(toEntry);
}

/** @returns how many entries it removed. */
export function* purgeTrail(build: AuditBuild, nowMs: number): Work<number> {
  // Measured from the newest entry, if our clock should be ahead of it: the store's own trigger keeps the rest.
  const newestFirst = build.selectFrom("audit").select("at_ms").orderBy("number", "desc");
  const [newest] = yield* run(newestFirst.limit(1));
  const beforeMs = Math.min(nowMs, newest?.at_ms ?? nowMs) - auditKeptMs;
  const old = build.selectFrom("audit").select("number").where("at_ms", "<", beforeMs);
  const some = old.orderBy("number").limit(purgedMax);
  const purged = build.deleteFrom("audit").where("number", "in", some);
  return (yield* run(purged.returning("number"))).length;
}

/** In which minute, counted from the epoch. */
export function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / minuteMs);
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
