import type { Costs } from "./mechanisms.ts";
import { type Offered, type Results, type Summary, sameOffer } from "./results.ts";
import type { ScaleResults } from "./scaling.ts";
import type { StoreKind } from "./work.ts";

const storeTitles: Readonly<Record<StoreKind, string>> = {
  memory: "In memory",
  sqlite: "On disk: SQLite, committed before the answer",
  "sqlite-grouped": "On disk, and the peers too commit the orders of one turn together",
};

/** What was offered, first of all that ours is compared at. */
export function offersOf({ summary }: Results, store: StoreKind): Offered[] {
  const offers: Offered[] = [];
  for (const { offered, store: at } of summary) {
    if (at === store && !offers.some((it) => sameOffer(it, offered))) offers.push(offered);
  }
  return offers;
}

/** Markdown: of each store a table of rates and latencies, and one of costs. */
export function resultTables(results: Results): string {
  return results.stores
    .map((store) =>
      [
        `### ${storeTitles[store]}`,
        closedTable(results, store),
        openTable(results, store),
        costTable(results, store),
        ratioTable(results, store),
      ]
        .filter((part) => part !== "")
        .join("\n\n"),
    )
    .join("\n\n");
}

function closedTable(results: Results, store: StoreKind): string {
  const offers = offersOf(results, store).filter((it) => it.kind === "closed");
  const head = ["orders/s, p50 / p99 ms", ...offers.map(({ clients }) => `${clients} client${clients > 1 ? "s" : ""}`)];
  const rows = results.variants.map(({ name }) => [
    nameOf(results, name),
    ...offers.map((offered) =>
      cell(
        find(results, { variant: name, store, offered }),
        ({ rate, p50, p99 }) => `${count(rate)}, ${fine(p50)} / ${fine(p99)}`,
      ),
    ),
  ]);
  return offers.length === 0 ? "" : table(head, rows);
}

function openTable(results: Results, store: StoreKind): string {
  const offers = offersOf(results, store).filter((it) => it.kind === "open");
  const head = ["open loop: offered/s, p50 / p99 ms", ...offers.map(({ share }) => `${share * 100} % of capacity`)];
  const rows = results.variants.map(({ name }) => [
    nameOf(results, name),
    ...offers.map((offered) =>
      cell(
        find(results, { variant: name, store, offered }),
        ({ rate, p50, p99 }) => `${count(rate)}, ${fine(p50)} / ${fine(p99)}`,
      ),
    ),
  ]);
  return offers.length === 0 ? "" : table(head, rows);
}

/** At the clients that are compared, and at one. */
function costTable(results: Results, store: StoreKind): string {
  const offered = comparedAt(results, store);
  if (!offered) return "";
  const head = [
    `at ${offered.clients} clients, of one order`,
    "CPU s per 1,000, servers",
    "users, orders, gateway",
    "load process",
    "bytes, client",
    "bytes, all links and files",
    "writes, all",
    "resident MiB, servers",
  ];
  const rows = results.variants.map(({ name }) => {
    const summary = find(results, { variant: name, store, offered });
    return [
      nameOf(results, name),
      cell(summary, ({ serverCpu }) => fine(serverCpu)),
      cell(summary, ({ usersCpu, ordersCpu, gatewayCpu }) => [usersCpu, ordersCpu, gatewayCpu].map(fine).join(", ")),
      cell(summary, ({ loadCpu }) => fine(loadCpu)),
      cell(summary, ({ clientBytes }) => count(clientBytes)),
      cell(summary, ({ bytes }) => count(bytes)),
      cell(summary, ({ writes }) => fine(writes)),
      cell(summary, ({ residentMiB }) => count(residentMiB)),
    ];
  });
  return table(head, rows);
}

/** What ours is to each other: more orders, less time, less of the processor. */
function ratioTable(results: Results, store: StoreKind): string {
  const ours = results.variants.find(({ kind }) => kind === "ours");
  const others = results.variants.filter(({ kind }) => kind !== "ours");
  if (!ours || others.length === 0) return "";
  const offers = offersOf(results, store).filter((it) => it.kind === "closed");
  const head = [
    `${ours.name} to`,
    ...offers.map(({ clients }) => `orders/s @${clients}`),
    "p50 @1",
    `CPU @${comparedAt(results, store)?.clients ?? ""}`,
  ];
  const rows = others.map(({ name }) => {
    const ratio = (offered: Offered | undefined, of: (summary: Summary) => number | null) => {
      const [own, other] = [ours.name, name].map((variant) => offered && find(results, { variant, store, offered }));
      const [above, below] = [own && of(own), other && of(other)];
      return above && below ? (above / below).toFixed(2) : "";
    };
    const alone = offers.find(({ clients }) => clients === 1);
    return [
      name,
      ...offers.map((offered) => ratio(offered, ({ result }) => result.rate)),
      ratio(alone, ({ result }) => result.p50),
      ratio(comparedAt(results, store), ({ result }) => result.serverCpu),
    ];
  });
  return table(head, rows);
}

/** 64 clients, or the most there were. */
export function comparedAt(results: Results, store: StoreKind) {
  const offers = offersOf(results, store).filter((it) => it.kind === "closed");
  return offers.find(({ clients }) => clients === 64) ?? offers.at(-1);
}

export function find(results: Results, wanted: Pick<Summary, "variant" | "store" | "offered">): Summary | undefined {
  return results.summary.find(
    ({ variant, store, offered }) =>
      variant === wanted.variant && store === wanted.store && sameOffer(offered, wanted.offered),
  );
}

function cell(summary: Summary | undefined, spell: (result: Summary["result"]) => string): string {
  if (!summary) return "";
  return `${spell(summary.result)}${summary.result.failed > 0 ? ` (${summary.result.failed} failed)` : ""}`;
}

function nameOf({ variants }: Results, name: string): string {
  return variants.find((it) => it.name === name)?.kind === "ours" ? `**${name}**` : name;
}

/** Markdown: what each of many costs. */
export function scaleTables({ idle, held, pages }: ScaleResults): string {
  const mib = (bytes: number) => count(bytes / 2 ** 20);
  /** KiB that each of `n` takes beside what was there without them. */
  const each = (n: number, now: number, without: number | undefined) =>
    n === 0 || without === undefined ? "" : fine((now - without) / n / 1_024);
  const idleHead = [
    "idle WebSocket sessions",
    "gateway holds, MiB",
    "a session, KiB held",
    "a session, KiB resident",
    "gateway CPU, % of a core",
    "orders/s beside them, 16 clients",
    "their p99 ms",
  ];
  const heldHead = ["accounts held, each used", "users, KiB each", "orders, KiB each", "gateway, KiB each"];
  const pagesHead = [
    "orders of one user",
    "newest 50, ms",
    "oldest 50, ms",
    "newest 1,000, ms",
    "one order more, ms",
    "Order Service holds, MiB",
  ];
  return [
    table(
      idleHead,
      idle.map((row) => [
        count(row.sessions),
        mib(row.heldBytes),
        each(row.sessions, row.heldBytes, idle[0]?.heldBytes),
        each(row.sessions, row.residentBytes, idle[0]?.residentBytes),
        row.cpuShare === null ? "–" : (row.cpuShare * 100).toFixed(0),
        count(row.rate),
        fine(row.p99),
      ]),
    ),
    table(
      heldHead,
      held
        .filter(({ accounts }) => accounts > 0)
        .map(({ accounts, heldBytes }) => [
          count(accounts),
          ...(["users", "orders", "gateway"] as const).map((service) =>
            each(accounts, heldBytes[service], held[0]?.heldBytes[service]),
          ),
        ]),
    ),
    table(
      pagesHead,
      pages.map((row) => [
        count(row.orders),
        ...[row.newest, row.oldest, row.thousand, row.place].map(fine),
        mib(row.ordersHeldBytes),
      ]),
    ),
  ].join("\n\n");
}

/** Markdown: each mechanism's part of an order, of which `whole` is all, in microseconds of processor time. */
export function mechanismTable(costs: Costs, whole: Readonly<Record<"memory" | "sqlite", number | null>>): string {
  const share = (micros: number, of: number | null) => (of === null ? "–" : `${((micros / of) * 100).toFixed(0)} %`);
  const rows: readonly (readonly [string, number])[] = [
    ["Cap'n Web: three calls, with checks, limits, deadlines", costs.core],
    ["context", costs.context],
    ["boundary: schemas, turns", costs.boundary],
    ["sockets, without the kernel's wake-ups between processes", costs.sockets],
    ["introduction, used again", costs.introduction],
  ];
  const named = rows.reduce((sum, [, micros]) => sum + micros, 0);
  const line = (name: string, micros: number) => [
    name,
    fine(micros),
    share(micros, whole.memory),
    share(micros, whole.sqlite),
  ];
  const rest = (store: number, of: number | null) => (of === null ? null : of - named - store);
  const [restMemory, restSqlite] = [rest(costs.storeMemory, whole.memory), rest(costs.storeSqlite, whole.sqlite)];
  return table(
    ["of an order", "µs", "share, in memory", "share, on disk"],
    [
      ...rows.map(([name, micros]) => line(name, micros)),
      ["store, in memory", fine(costs.storeMemory), share(costs.storeMemory, whole.memory), ""],
      ["store, on disk", fine(costs.storeSqlite), "", share(costs.storeSqlite, whole.sqlite)],
      [
        "everything else: the gateway's limits and tokens, the shop's own code, waiting processes woken, colder caches",
        `${fine(restMemory)}, ${fine(restSqlite)}`,
        restMemory === null ? "–" : share(restMemory, whole.memory),
        restSqlite === null ? "–" : share(restSqlite, whole.sqlite),
      ],
      ["**the whole order, as the servers take it**", `${fine(whole.memory)}, ${fine(whole.sqlite)}`, "100 %", "100 %"],
      ["a user's first order, beside it: the introduction made and ended", fine(costs.firstIntroduction), "", ""],
      ["the three calls in stock Cap'n Web, beside them: without checks, limits, deadlines", fine(costs.stock), "", ""],
    ],
  );
}

/** 12,345 */
function count(value: number | null): string {
  return value === null ? "–" : Math.round(value).toLocaleString("en-US");
}

/** Two digits that say something. */
function fine(value: number | null): string {
  if (value === null) return "–";
  return value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, n) => (n === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}
