import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Variant, variants } from "./variants.ts";
import { type StoreKind, storeKinds } from "./work.ts";

export interface Options {
  readonly variants: readonly Variant[];
  readonly stores: readonly StoreKind[];
  /** Each round measures everything once, so that all meet the same machine. */
  readonly rounds: number;
  /** Of one measurement. */
  readonly seconds: number;
  /** Before the first round, of each system at 64 clients: until its code is compiled. */
  readonly warmSeconds: number;
  /** Under way at once, in the closed loops. */
  readonly clients: readonly number[];
  /** Of the rate that a variant reached at 64 clients, or at the most it was asked for; for its open loops. */
  readonly shares: readonly number[];
  /** A measurement that other programs disturbed is repeated so often at most; the least disturbed one counts. */
  readonly retries: number;
  /** Of arrival times, and of the order within a round. */
  readonly seed: number;
}

export interface Command {
  readonly options: Options;
  /** Only the usage was asked for. */
  readonly help: boolean;
  /** A file of results to make the report of, instead of measuring. */
  readonly report: string | undefined;
  /** Where the results go. */
  readonly out: string | undefined;
  readonly profileTo: string | undefined;
}

const full = { rounds: 5, seconds: 3, warmSeconds: 4, clients: [1, 16, 64, 256], shares: [0.5, 0.8], retries: 2 };
/** The comparison in memory in less than two minutes, each as warm as in a full run; one round is for a first look. */
const quick = { ...full, rounds: 1, seconds: 1, clients: [1, 64], shares: [0.8], retries: 0 };
const storesDefault: readonly StoreKind[] = ["memory", "sqlite"];
const storesQuick: readonly StoreKind[] = ["memory"];

export const usage = `npm run bench -- [options]
  --help           shows this
  --quick          one short round in memory: under two minutes
  --peers a,b      of ${variants.map(({ name }) => name).join(", ")}
  --store a,b      of ${storeKinds.join(", ")} (default: ${storesDefault.join(",")})
  --rounds N       measurements of each (default: ${full.rounds})
  --seconds S      of one measurement (default: ${full.seconds})
  --clients a,b    under way at once (default: ${full.clients.join(",")})
  --shares a,b     open loops, of the rate that was reached (default: ${full.shares.join(",")}; none: 0)
  --seed N         of arrival times and of the order within a round
  --out FILE       for the results (default: bench/results/TIME.json)
  --profile DIR    CPU profiles of the servers, and what their garbage collectors did, by system and service
  --report FILE    writes docs/performance.md's tables and docs/performance.svg from results, and measures nothing`;

/** @throws Error that says which option cannot be. */
export function readCommand(args: readonly string[]): Command {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean" },
      peers: { type: "string" },
      store: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      clients: { type: "string" },
      shares: { type: "string" },
      seed: { type: "string" },
      out: { type: "string" },
      profile: { type: "string" },
      report: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  const base = values.quick ? quick : full;
  const options: Options = {
    ...base,
    variants: values.peers ? values.peers.split(",").map(variantNamed) : variants.filter(isDefault),
    stores: values.store ? values.store.split(",").map(storeNamed) : values.quick ? storesQuick : storesDefault,
    ...(values.rounds && { rounds: atLeast(1, "rounds", values.rounds) }),
    ...(values.seconds && { seconds: atLeast(0.1, "seconds", values.seconds) }),
    ...(values.clients && { clients: values.clients.split(",").map((text) => atLeast(1, "clients", text)) }),
    ...(values.shares && { shares: sharesIn(values.shares) }),
    seed: values.seed ? atLeast(0, "seed", values.seed) : Math.floor(Math.random() * 2 ** 31),
  };
  return { options, help: values.help === true, report: values.report, out: values.out, profileTo: values.profile };
}

function variantNamed(name: string): Variant {
  const variant = variants.find((it) => it.name === name);
  if (!variant) throw new Error(`--peers: there is no ${name}`);
  return variant;
}

function storeNamed(name: string): StoreKind {
  const kind = storeKinds.find((it) => it === name);
  if (!kind) throw new Error(`--store: there is no ${name}`);
  return kind;
}

function isDefault({ folder, isExtra }: Variant): boolean {
  return !isExtra && existsSync(fileURLToPath(new URL(`${folder}/gateway.ts`, import.meta.url)));
}

function sharesIn(text: string): number[] {
  const shares = text.split(",").map((share) => atLeast(0, "shares", share));
  return shares.filter((share) => share > 0);
}

function atLeast(least: number, name: string, text: string): number {
  const value = Number(text);
  if (!(value >= least)) throw new Error(`--${name}: expected a number from ${least} on, got ${JSON.stringify(text)}`);
  return value;
}
