import type { AuditRecord } from "../../contracts/administration.ts";
import type { CommandSpec } from "../command.ts";
import { table } from "../text.ts";
import { parseCount, timeText } from "../times.ts";

export const audit: CommandSpec = {
  name: "audit",
  summary: "Show who did what to whom",
  about: "The newest first. Takes the permission system.admin.",
  options: [
    { flags: "-n, --limit <count>", summary: "so many at most, 1 to 100 (default: 20)" },
    { flags: "--after <number>", summary: "only entries older than this one" },
    { flags: "--user <id>", summary: "only what was done to this account" },
  ],
  examples: ["flotilla audit", "flotilla audit --user user2 --limit 50", "flotilla audit --json"],
  calls: ["Administration.audit"],
  async run({ terminal, shop }, { options }) {
    const { limit = "20", after, user } = options as Record<string, string | undefined>;
    const page = {
      limit: parseCount("--limit", limit, { max: 100 }),
      ...(after !== undefined && { after: parseCount("--after", after, { max: Number.MAX_SAFE_INTEGER }) }),
      ...(user !== undefined && { subjectId: user }),
    };
    const answer = await shop.callAs((gateway, token) => gateway.account(token).administration().audit(page));
    const { paint, quiet } = terminal;
    terminal.result(answer, () => {
      return answer.entries.length === 0 ? "" : table(answer.entries, columns, { paint, titles: !quiet });
    });
    if (answer.entries.length === 0) terminal.note("Nothing is recorded of it");
    if (answer.next !== undefined) terminal.note(`There may be older ones: flotilla audit --after ${answer.next}`);
  },
};

const columns = [
  { title: "NO", align: "right", of: (it: AuditRecord) => String(it.number) },
  { title: "AT", of: (it: AuditRecord) => timeText(it.at) },
  { title: "EVENT", of: (it: AuditRecord) => (it.count > 1 ? `${it.event} (${it.count} times)` : it.event) },
  { title: "BY", of: (it: AuditRecord) => it.actorId ?? "-" },
  { title: "TO", of: (it: AuditRecord) => it.subjectId ?? "-" },
  { title: "DETAIL", of: (it: AuditRecord) => it.detail ?? "" },
] as const;
