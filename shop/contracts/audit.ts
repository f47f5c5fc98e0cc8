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

/** `next` is the `before` of the following page; absent on the last one. */
export interface AuditPage {
  readonly entries: readonly AuditRecord[];
  readonly next?: number;
}

/** The newest entries of one account, or of all. */
export interface AuditQuery {
  /** The number of an entry: only older ones are listed. */
  readonly before?: number;
  /** 1 to 100, which is also the default. */
  readonly limit?: number;
  readonly subjectId?: string;
}

export const AuditQuery = arg(
  "page",
  Type.Object(
    {
      before: Type.Optional(Type.Integer({ minimum: 1 })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
      subjectId: Type.Optional(Type.String({ maxLength: 32 })),
    },
    { additionalProperties: false },
  ),
);
