import { auditTable } from "../../service/audit-tables.ts";
import type { Migration } from "../../service/migration.ts";

/**
 * Roles as data, accounts with a state, logins with refresh tokens, and the audit trail. Logins of before are over: their
 * tokens were of another kind. COLLATE "C": what is sorted is sorted as SQLite does it.
 */
export const logins: Migration = {
  name: "logins",
  sqlite: `
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

    ${auditTable.sqlite}

    CREATE TABLE refused_logins (
      minute INTEGER NOT NULL,
      who TEXT NOT NULL,
      request_id TEXT,
      count INTEGER NOT NULL,
      PRIMARY KEY (minute, who)
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    DROP TABLE logins;

    CREATE TABLE roles (name text COLLATE "C" PRIMARY KEY);
    CREATE TABLE role_permissions (
      role text COLLATE "C" NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
      permission text NOT NULL,
      PRIMARY KEY (role, permission)
    );
    INSERT INTO roles (name) VALUES ('admin'), ('moderator'), ('user');
    INSERT INTO role_permissions (role, permission) VALUES
      ('user', 'order.create'), ('user', 'order.view'), ('user', 'profile.edit'),
      ('moderator', 'order.create'), ('moderator', 'order.view'), ('moderator', 'profile.edit'),
      ('moderator', 'order.cancel'),
      ('admin', 'order.create'), ('admin', 'order.view'), ('admin', 'profile.edit'), ('admin', 'user.create'),
      ('admin', 'user.delete'), ('admin', 'order.cancel'), ('admin', 'system.admin');

    ALTER TABLE accounts DROP CONSTRAINT accounts_role_check;
    ALTER TABLE accounts ALTER COLUMN role TYPE text COLLATE "C";
    ALTER TABLE accounts ADD CONSTRAINT accounts_role_fkey FOREIGN KEY (role) REFERENCES roles (name);
    ALTER TABLE accounts ADD COLUMN state text NOT NULL DEFAULT 'enabled'
      CONSTRAINT accounts_state_check CHECK (state IN ('enabled', 'disabled', 'deleted'));
    ALTER TABLE accounts ALTER COLUMN state DROP DEFAULT;
    ALTER TABLE accounts ADD CONSTRAINT accounts_deleted_check
      CHECK (state <> 'deleted' OR (email = '' AND password_hash = ''));
    CREATE INDEX accounts_by_role ON accounts (role);

    CREATE TABLE logins (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      sid text NOT NULL UNIQUE,
      account_number bigint NOT NULL REFERENCES accounts (number),
      family_hash text NOT NULL UNIQUE,
      refresh_hash text NOT NULL,
      created_at_ms bigint NOT NULL,
      last_used_at_ms bigint NOT NULL,
      idle_ends_at_ms bigint NOT NULL,
      ends_at_ms bigint NOT NULL
    );
    CREATE INDEX logins_by_account ON logins (account_number, number);
    CREATE INDEX logins_by_idle_end ON logins (idle_ends_at_ms);

    CREATE TABLE rotations (
      login_number bigint NOT NULL REFERENCES logins (number) ON DELETE CASCADE,
      refresh_hash text NOT NULL,
      salt text NOT NULL,
      rotated_at_ms bigint NOT NULL,
      PRIMARY KEY (login_number, refresh_hash)
    );

    ${auditTable.postgres}

    CREATE TABLE refused_logins (
      minute bigint NOT NULL,
      who text NOT NULL,
      request_id text,
      count integer NOT NULL,
      PRIMARY KEY (minute, who)
    );
  `,
};
