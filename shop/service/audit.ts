import { type Clock, currentContext } from "@flotilla/kit";
import type { AuditPage, AuditQuery } from "../contracts/audit.ts";

/** One line of a service's audit trail: who did what to whom, from which login, and when. No secret is in it. */
export interface AuditEntry<Event extends string = string> {
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly event: Event;
  /** Absent when the system itself did it, or nobody knows who. */
  readonly actorId?: string;
  /** The account it was done to; of a refusal, who was refused. */
  readonly subjectId?: string;
  readonly sid?: string;
  readonly requestId?: string;
  readonly detail?: string;
  /** How often, within one minute. */
  readonly count: number;
}

/** Who does something now, as the trail will name them. */
export interface Actor {
  readonly accountId?: string | undefined;
  readonly sid?: string | undefined;
  readonly requestId?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** A page of the trail, newest first. */
export interface TrailPage {
  /** The number of an entry: only older ones are read. */
  readonly before?: number | undefined;
  readonly limit: number;
  readonly subjectId?: string | undefined;
  readonly nowMs: number;
}

/** What whoever may read the trail asks of a store. */
export interface AuditReader<Event extends string = string> {
  audit(page: TrailPage): Promise<AuditEntry<Event>[]>;
  /** Removes what is older than `auditKeptMs`, some at a time. @returns how many. */
  purgeAudit(nowMs: number): Promise<number>;
}

/** Entries younger than this cannot be removed. Milliseconds. */
export const auditKeptMs = 400 * 86_400_000;

const pageMax = 100;

/** Who does what is done now, in the call that is being answered. */
export function actorNow(clock: Clock, who: Pick<Actor, "accountId" | "sid"> = {}): Actor {
  return { accountId: who.accountId, sid: who.sid, requestId: currentContext()?.traceId, nowMs: clock.now() };
}

/** What `query` asks for, as its contract lets it in. The caller has checked that it may be read. */
export async function auditPage(
  store: AuditReader,
  { before, limit = pageMax, subjectId }: AuditQuery,
  clock: Clock,
): Promise<AuditPage> {
  const entries = await store.audit({ before, limit, subjectId, nowMs: clock.now() });
  const last = entries.at(-1);
  return { entries: entries.map(toRecord), ...(last && entries.length === limit && { next: last.number }) };
}

function toRecord({ atMs: at, sid, ...entry }: AuditEntry) {
  return { ...entry, at, ...(sid !== undefined && { sessionId: sid }) };
}
