import { refusalsTable } from "../../service/audit-tables.ts";
import type { Migration } from "../../service/migration.ts";

const take = `
    INSERT INTO refusals (minute, event, who, detail, request_id, count)
      SELECT minute, 'login_refused', who, '', request_id, count FROM refused_logins;
    DROP TABLE refused_logins;`;

/** Refusals of every kind are counted, and not only those of log-ins. */
export const refusals: Migration = {
  name: "refusals",
  sqlite: `${refusalsTable.sqlite}${take}`,
  postgres: `${refusalsTable.postgres}${take}`,
};
