import { arg } from "@flotilla/kit";
import { Type } from "typebox";

/** Who did what to whom. `docs/glossary.md` says what the words mean. */
export interface AuditRecord {
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly event: string;
  readonly actorId?: string;
  /** To whom it was done; of a refusal, who was refused. */
  readonly subjectId?: string;
  readonly sessionId?: string;
  readonly requestId?: string;
  readonly detail?: string;
  /** How often within one minute. */
  readonly count: number;
}

/** `next` is what to ask the following page `after`; absent on the last one. */
export interface AuditPage {
  readonly entries: readonly AuditRecord[];
  readonly next?: number;
}

/** Which entries: of one account or of all, those after the last one of the page before, at most `limit`. */
export interface AuditQuery {
  readonly after?: number;
  /** 1 to 100, which is also the default. */
  readonly limit?: number;
  readonly subjectId?: string;
}

export const AuditQuery = arg(
  "page",
  Type.Object(
    {
      after: Type.Optional(Type.Integer({ minimum: 1 })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
      subjectId: Type.Optional(Type.String({ maxLength: 32 })),
    },
    { additionalProperties: false },
  ),
);
