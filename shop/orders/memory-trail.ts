import { type Actor, type AuditEntry, type AuditReader, auditKeptMs } from "../service/audit.ts";
import { minuteOf } from "../service/audit-trail.ts";
import type { OrderEvent } from "./store.ts";

type Entry = AuditEntry<OrderEvent>;

/** The trail of a store for tests; it does as `audit-trail.ts` does. */
export interface MemoryTrail extends AuditReader<OrderEvent> {
  record(event: OrderEvent, entry: { by: Actor; subjectId?: string | undefined; detail?: string }): void;
  refuse(permission: string, by: Actor): void;
}

export function makeMemoryTrail(): MemoryTrail {
  let entries: Entry[] = [];
  let last = 0;
  /** Of the minute that runs, by who was refused what. */
  const refusals = new Map<string, Omit<Entry, "number">>();

  function add(entry: Omit<Entry, "number">): void {
    last += 1;
    entries.push({ ...entry, number: last });
  }

  function settle(nowMs: number): void {
    for (const [key, refusal] of refusals) {
      if (minuteOf(refusal.atMs) >= minuteOf(nowMs)) continue;
      refusals.delete(key);
      add(refusal);
    }
  }

  return {
    record(event, { by, subjectId, detail }) {
      settle(by.nowMs);
      add({
        ...{ atMs: by.nowMs, event, ...whoIs(by) },
        ...(subjectId !== undefined && { subjectId }),
        ...(detail !== undefined && { detail }),
        count: 1,
      });
    },
    refuse(detail, { accountId = "", requestId, nowMs }) {
      settle(nowMs);
      const key = JSON.stringify([accountId, detail]);
      const known = refusals.get(key);
      const atMs = minuteOf(nowMs) * 60_000;
      const first = {
        atMs,
        event: "permission_refused" as const,
        subjectId: accountId,
        detail,
        ...whoIs({ requestId }),
      };
      refusals.set(key, { ...(known ?? first), count: (known?.count ?? 0) + 1 });
    },
    async audit({ before = Number.POSITIVE_INFINITY, limit, subjectId, nowMs }) {
      settle(nowMs);
      const asked = entries.filter((it) => it.number < before && (subjectId ?? it.subjectId) === it.subjectId);
      return asked.slice(-limit).reverse();
    },
    async purgeAudit(nowMs) {
      const before = Math.min(nowMs, entries.at(-1)?.atMs ?? nowMs) - auditKeptMs;
      const kept = entries.filter(({ atMs }) => atMs >= before);
      const purged = entries.length - kept.length;
      entries = kept;
      return purged;
    },
  };
}

function whoIs({ accountId, requestId }: Partial<Actor>): Pick<Entry, "actorId" | "requestId"> {
  return { ...(accountId !== undefined && { actorId: accountId }), ...(requestId !== undefined && { requestId }) };
}
