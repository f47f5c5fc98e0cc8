import type { Migration } from "../../service/sqlite-migration.ts";

/**
 * Roles as data, accounts with a state, logins with refresh tokens, and the audit trail. Logins of before are over: their
 * tokens were of another kind.
 */
export const logins: Migration = {
  name: "logins",
  sql: `
    DROP TABLE logins;

    CREATE TABLE roles (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE role_permissions (
      role TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
      permission TEXT NOT NULL,
      PRIMARY KEY (role, permission)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO roles (name) VALUES ('admin'), ('moderator'), ('user');
    INSERT INTO role_permissions (role, permission) VALUES
      ('user', 'order.create'), ('user', 'order.view'), ('user', 'profile.edit'),
      ('moderator', 'order.create'), ('moderator', 'order.view'), ('moderator', 'profile.edit'),
      ('moderator', 'order.cancel'),
      ('admin', 'order.create'), ('admin', 'order.view'), ('admin', 'profile.edit'), ('admin', 'user.create'),
      ('admin', 'user.delete'), ('admin', 'order.cancel'), ('admin', 'system.admin');

    CREATE TABLE accounts_with_state (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      username TEXT NOT NULL UNIQUE,
      email TEXT NOT NULL,
      role TEXT NOT NULL REFERENCES roles (name),
      password_hash TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'deleted')),
      CHECK (state <> 'deleted' OR (email = '' AND password_hash = ''))
    ) STRICT;
    INSERT INTO accounts_with_state (number, username, email, role, password_hash, created_at_ms, state)
      SELECT number, username, email, role, password_hash, created_at_ms, 'enabled' FROM accounts;
    DROP TABLE accounts;
    ALTER TABLE accounts_with_state RENAME TO accounts;
    CREATE INDEX accounts_by_role ON accounts (role);

    CREATE TABLE logins (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      sid TEXT NOT NULL UNIQUE,
      account_number INTEGER NOT NULL REFERENCES accounts (number),
      family_hash TEXT NOT NULL UNIQUE,
      refresh_hash TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      last_used_at_ms INTEGER NOT NULL,
      idle_ends_at_ms INTEGER NOT NULL,
      ends_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX logins_by_account ON logins (account_number);
    CREATE INDEX logins_by_idle_end ON logins (idle_ends_at_ms);

    CREATE TABLE rotations (
      login_number INTEGER NOT NULL REFERENCES logins (number) ON DELETE CASCADE,
      refresh_hash TEXT NOT NULL,
      salt TEXT NOT NULL,
      rotated_at_ms INTEGER NOT NULL,
      PRIMARY KEY (login_number, refresh_hash)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE audit (
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
      BEGIN SELECT RAISE(ABORT, 'the audit trail is kept for 400 days'); END;

    CREATE TABLE refused_logins (
      minute INTEGER NOT NULL,
      who TEXT NOT NULL,
      request_id TEXT,
      count INTEGER NOT NULL,
      PRIMARY KEY (minute, who)
    ) STRICT, WITHOUT ROWID;
  `,
};
