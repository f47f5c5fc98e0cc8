/*
 * The tables of a service's trail (`audit-trail.ts`), for its migrations. As they were published: what is to change here
 * is another step.
 */

/** Triggers keep it append-only, and each entry for 400 days (`auditKeptMs`). */
export const auditTable = {
  sqlite: `CREATE TABLE audit (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      at_ms INTEGER NOT NULL,
      event TEXT NOT NULL,
      actor_id TEXT,
      subject_id TEXT,
      sid TEXT,
      request_id TEXT,
      detail TEXT,
      count INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_subject ON audit (subject_id, number);
    CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
      BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit
      WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number)
      BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    CREATE TRIGGER audit_is_kept_for_400_days BEFORE DELETE ON audit
      WHEN OLD.at_ms > (SELECT at_ms FROM audit ORDER BY number DESC LIMIT 1) - 400 * 86400000
      BEGIN SELECT RAISE(ABORT, 'the audit trail is kept for 400 days'); END;`,
  postgres: `CREATE TABLE audit (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at_ms bigint NOT NULL,
      event text NOT NULL,
      actor_id text,
      subject_id text,
      sid text,
      request_id text,
      detail text,
      count integer NOT NULL
    );
    CREATE INDEX audit_by_subject ON audit (subject_id, number);
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
    CREATE TRIGGER audit_is_never_changed BEFORE UPDATE OR TRUNCATE ON audit
      EXECUTE FUNCTION audit_is_append_only();
    CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF OLD.at_ms > (SELECT at_ms FROM audit ORDER BY number DESC LIMIT 1) - 400 * 86400000::bigint THEN
          RAISE EXCEPTION 'the audit trail is kept for 400 days';
        END IF;
        RETURN OLD;
      END $$;
    CREATE TRIGGER audit_is_kept_for_400_days BEFORE DELETE ON audit
      FOR EACH ROW EXECUTE FUNCTION audit_is_kept();`,
} as const;

/** Refusals of the minute that runs. */
export const refusalsTable = {
  sqlite: `CREATE TABLE refusals (
      minute INTEGER NOT NULL,
      event TEXT NOT NULL,
      who TEXT NOT NULL,
      detail TEXT NOT NULL,
      request_id TEXT,
      count INTEGER NOT NULL,
      PRIMARY KEY (minute, event, who, detail)
    ) STRICT, WITHOUT ROWID;`,
  postgres: `CREATE TABLE refusals (
      minute bigint NOT NULL,
      event text NOT NULL,
      who text NOT NULL,
      detail text NOT NULL,
      request_id text,
      count integer NOT NULL,
      PRIMARY KEY (minute, event, who, detail)
    );`,
} as const;
