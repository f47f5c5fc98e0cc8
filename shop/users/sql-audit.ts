import type { Actor } from "../service/audit.ts";
import {
  type AuditBuild,
  countRefusal,
  minuteOf,
  type Noted,
  purgeTrail,
  readTrail,
  record as recordIn,
} from "../service/audit-trail.ts";
import { run, type Work } from "../service/database.ts";
import { accountNumber } from "./account.ts";
import { type AuditEntry, type AuditEvent, strangersPerMinuteMax } from "./audit.ts";
import type { AuditStore } from "./store.ts";
import type { Build, Db } from "./tables.ts";

/** Under it strangers are counted together once there are too many of them. */
const otherStrangers = "strangers";

export function auditStore(db: Db): AuditStore & { refuseLogin(who: string, by: Actor): Promise<void> } {
  const build = trailOf(db.build);
  return {
    // What it moves to the trail is moved once; repeated, it finds nothing to move.
    audit: (page) => db.unit(() => readTrail(build, page) as Work<AuditEntry[]>, { isRepeatable: true }),
    purgeAudit: (nowMs) => db.unit(() => purgeTrail(build, nowMs), { isRepeatable: true }),
    refuseLogin: (who, by) => db.unit(() => countRefusedLogin(db.build, who, by)),
    refuse: (permission, by) =>
      db.unit(() => countRefusal(build, "permission_refused", { who: by.accountId ?? "", detail: permission, by })),
    noteIntroduction: ({ gifter, recipient }, by) =>
      db.unit(() =>
        record(db.build, "introduced", { by, subjectId: by.accountId, detail: `${gifter} to ${recipient}` }),
      ),
  };
}

/** Appends one line to the trail, within the unit of what it records. */
export function record(build: Build, event: AuditEvent, noted: Noted): Work<void> {
  return recordIn(trailOf(build), event, noted);
}

/** Counts a refused login, within the unit that refused it. */
export function* countRefusedLogin(build: Build, who: string, by: Actor): Work<void> {
  const trail = trailOf(build);
  yield* countRefusal(trail, "login_refused", { who: yield* place(trail, minuteOf(by.nowMs), who), by });
}

function trailOf(build: Build): AuditBuild {
  return build.$pickTables<"audit" | "refusals">();
}

/**
 * `who`, or the place of the many when there are too many strangers already.
 * SECURITY: it asks both questions about an account too, or a refusal would take longer for a name without one.
 */
function* place(build: AuditBuild, minute: number, who: string): Work<string> {
  const refused = build.selectFrom("refusals").where("minute", "=", minute).where("event", "=", "login_refused");
  const known = yield* run(refused.where("who", "=", who).select("who"));
  const [row] = yield* run(refused.where("who", "not like", "user%").select((eb) => eb.fn.countAll<number>().as("n")));
  if (accountNumber(who) !== undefined || known.length > 0) return who;
  return row!.n < strangersPerMinuteMax ? who : otherStrangers;
}
