import type { AuditRecord } from "../../contracts/audit.ts";
import type { CommandSpec } from "../command.ts";
import { findUser, userSummary } from "../find-user.ts";
import { say, table } from "../text.ts";
import { parseCount, timeText } from "../times.ts";

export const audit: CommandSpec = {
  name: "audit",
  summary: "Show who did what to whom",
  about: "What was done to accounts and roles, or to orders; the newest first. Takes the permission system.admin.",
  options: [
    { flags: "--orders", summary: "what was done to orders, and who was refused" },
    { flags: "-n, --limit <count>", summary: "so many at most, 1 to 100 (default: 20)" },
    { flags: "--before <number>", summary: "only entries older than this one" },
    { flags: "--user <user>", summary: `only what was done to this account: ${userSummary}` },
  ],
  examples: [
    "flotilla audit",
    "flotilla audit --user bob --limit 50",
    "flotilla audit --orders",
    "flotilla audit --json",
  ],
  calls: ["Administration.audit", "Account.orderAudit", "ApiGateway.findUser"],
  async run({ terminal, shop }, { options }) {
    const { limit = "20", before, user, orders } = options as Options;
    const page = {
      limit: parseCount("--limit", limit, { max: 100 }),
      ...(before !== undefined && { before: parseCount("--before", before, { max: Number.MAX_SAFE_INTEGER }) }),
      ...(user !== undefined && { subjectId: (await findUser(shop, user)).id }),
    };
    const answer = await shop.callAs((gateway, token) => {
      const account = gateway.account(token);
      return orders ? account.orderAudit(page) : account.administration().audit(page);
    });
    const { paint, quiet } = terminal;
    terminal.result(answer, () => {
      return answer.entries.length === 0 ? "" : table(answer.entries, columns, { paint, titles: !quiet });
    });
    if (answer.entries.length === 0) terminal.note(say`Nothing is recorded of it`);
    if (answer.next !== undefined)
      terminal.note(say`There may be older ones: flotilla audit${orders ? " --orders" : ""} --before ${answer.next}`);
  },
};

interface Options {
  readonly limit?: string;
  readonly before?: string;
  readonly user?: string;
  readonly orders?: boolean;
}

const columns = [
  { title: "NO", align: "right", of: (it: AuditRecord) => String(it.number) },
  { title: "AT", of: (it: AuditRecord) => timeText(it.at) },
  { title: "EVENT", of: (it: AuditRecord) => (it.count > 1 ? `${it.event} (${it.count} times)` : it.event) },
  { title: "BY", of: (it: AuditRecord) => it.actorId ?? "-" },
  { title: "TO", of: (it: AuditRecord) => it.subjectId ?? "-" },
  { title: "DETAIL", of: (it: AuditRecord) => it.detail ?? "" },
] as const;
