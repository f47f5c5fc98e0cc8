import { auditTable, refusalsTable } from "../../service/audit-tables.ts";
import type { Migration } from "../../service/migration.ts";

/** Who cancelled or looked at whose order, and who was refused. An order itself says who placed it, and when. */
export const audit: Migration = {
  name: "audit",
  sqlite: `${auditTable.sqlite}
${refusalsTable.sqlite}`,
  postgres: `${auditTable.postgres}
${refusalsTable.postgres}`,
};
