import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf, withContext } from "@flotilla/kit";
import { runArrivals } from "../../bench/arrivals.ts";
import { openKitLine } from "../../bench/ours/client.ts";
import { startProcesses } from "../process-harness.ts";
import { type Noticed, startBystander } from "./bystander.ts";
import { quantile } from "./history.ts";
import { ratesMax } from "./kills.ts";

export interface OverloadOptions {
  /** People, each with a session of their own: so many that what is offered is no more than each may send and wait for. */
  readonly customers: number;
  /** How often the peak and each of the factors are measured, in turns. */
  readonly rounds: number;
  /** Of each measurement. */
  readonly seconds: number;
  readonly seed: number;
  /** What is offered, in times of the peak of the same round. */
  readonly factors: readonly number[];
  readonly onMeasured?: (what: string) => void;
}

/** What came of the orders that were offered, whether or not those before them were answered. */
export interface Offered {
  readonly factor: number;
  /** In a second: orders that were offered, placed within their time, refused for overload, and that failed otherwise. */
  readonly offered: number;
  readonly placed: number;
  readonly refused: number;
  readonly failed: number;
  /** Of the peak of the same round, how much was placed. */
  readonly goodput: number;
  /** From when each was due, one value for each. Milliseconds. */
  readonly placedMs: readonly number[];
  readonly refusedMs: readonly number[];
  /** What a client beside them noticed, who makes no load. */
  readonly beside: Noticed;
}

export interface OverloadReport {
  /** Orders a second of callers who wait for each, round by round. */
  readonly peaks: readonly number[];
  readonly offers: readonly Offered[];
}

/** How long somebody waits for an order. Milliseconds. */
const patienceMs = 1_000;
/** After a refusal. Milliseconds. */
const refusedMs = 50;
const items = [{ name: "Lamp", quantity: 1, price: 29.99 }];

type Customer = Awaited<ReturnType<typeof openKitLine>>;

/** From an address of their own: of one address the gateway reads no more than it can do. */
function openCustomer(url: string, number: number): Promise<Customer> {
  return openKitLine(url, process.platform === "linux" ? `127.0.0.${2 + number}` : "127.0.0.1");
}

interface Crowd {
  readonly customers: readonly Customer[];
  /** Of several users: one may have so many sessions. */
  readonly tokens: readonly string[];
}

/**
 * An open loop on the real processes: orders arrive as they please, by a Poisson process, at multiples of the most that
 * can be placed. That is measured anew in each round, because a machine is not always as fast.
 */
export async function measureOverload(options: OverloadOptions): Promise<OverloadReport> {
  const { rounds, seconds, seed, factors, onMeasured } = options;
  await using shop = await startProcesses({ env: ratesMax });
  const numbers = Array.from({ length: options.customers }, (_, number) => number);
  const customers = await Promise.all(numbers.map((number) => openCustomer(shop.urls.gateway, number)));
  try {
    const logins = ["alice", "bob", "charlie"].map((name) => customers[0]!.gateway.login(name, "password"));
    const crowd: Crowd = { customers, tokens: (await Promise.all(logins)).map(({ token }) => token) };
    // Not counted: the code is still being compiled.
    await placeAtOnce(crowd, seconds);
    const peaks: number[] = [];
    const offers: Offered[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const peak = await placeAtOnce(crowd, seconds);
      peaks.push(peak);
      onMeasured?.(`peak ${Math.round(peak)}/s`);
      for (const factor of factors) {
        await using bystander = await startBystander({ url: shop.urls.gateway, token: crowd.tokens[0]! });
        const offered = await offerOrders(crowd, { rate: peak * factor, seconds, seed: seed + round });
        offers.push({ ...offered, beside: await bystander.finish(), factor, goodput: offered.placed / peak });
        onMeasured?.(`${factor} times: ${Math.round(offered.placed)}/s placed, ${Math.round(offered.failed)}/s failed`);
      }
    }
    return { peaks, offers };
  } finally {
    for (const customer of customers) customer.close();
  }
}

/** Each places one order after the other. @returns orders a second. */
async function placeAtOnce({ customers, tokens }: Crowd, seconds: number): Promise<number> {
  let placed = 0;
  const startMs = performance.now();
  const caller = async (customer: Customer, number: number) => {
    while (performance.now() < startMs + seconds * 1_000) {
      try {
        await customer.gateway.createOrder(tokens[number % tokens.length]!, items, crypto.randomUUID());
        placed += 1;
      } catch (error) {
        // What is left of the overload of the round before.
        if (reasonOf(error) !== "overloaded") throw error;
        await sleep(refusedMs);
      }
    }
  };
  await Promise.all(customers.map(caller));
  return placed / ((performance.now() - startMs) / 1_000);
}

interface Arrivals {
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
}

async function offerOrders({ customers, tokens }: Crowd, arrivals: Arrivals) {
  const placedMs: number[] = [];
  const refusedMs: number[] = [];
  let failed = 0;
  let count = 0;
  const underWay = new Set<Promise<void>>();
  await runArrivals(arrivals, (dueMs) => {
    const answered = place(count, dueMs).then(() => void underWay.delete(answered));
    underWay.add(answered);
    count += 1;
  });
  await Promise.all(underWay);
  const perSecond = (number: number) => number / arrivals.seconds;
  return {
    offered: perSecond(count),
    placed: perSecond(placedMs.length),
    refused: perSecond(refusedMs.length),
    failed: perSecond(failed),
    placedMs,
    refusedMs,
  };

  async function place(number: number, dueMs: number): Promise<void> {
    const customer = customers[number % customers.length]!;
    const token = tokens[(number % customers.length) % tokens.length]!;
    const tookMs = () => performance.now() - dueMs;
    try {
      await withContext({ timeoutMs: patienceMs }, () =>
        customer.gateway.createOrder(token, items, crypto.randomUUID()),
      );
      if (tookMs() <= patienceMs) placedMs.push(tookMs());
      else failed += 1;
    } catch (error) {
      if (reasonOf(error) === "overloaded") refusedMs.push(tookMs());
      else failed += 1;
    }
  }
}

/** For the page on reliability: medians over the rounds. */
export function overloadTable({ peaks, offers }: OverloadReport): string {
  const factors = [...new Set(offers.map(({ factor }) => factor))];
  const rowsOf = (read: (over: Over) => readonly (string | number)[]) =>
    factors.map((factor) => {
      const all = offers.filter((it) => it.factor === factor);
      return [`${factor}×`, ...read((of) => Math.round(quantile(all.map(of), 0.5)))];
    });
  const crowd = rowsOf((over) => [
    over(({ offered }) => offered),
    over(({ placed }) => placed),
    `${over(({ goodput }) => goodput * 100)} %`,
    over(({ refused }) => refused),
    over(({ failed }) => failed),
    ...shares.map((share) => over(({ placedMs }) => quantile(placedMs, share))),
    ...shares.map((share) => over(({ refusedMs }) => quantile(refusedMs, share))),
  ]);
  const bystander = rowsOf((over) => [
    over(({ beside }) => beside.placedMs.length),
    over(({ beside }) => beside.refusedMs.length),
    over(({ beside }) => beside.failed),
    ...shares.map((share) => over(({ beside }) => quantile(beside.placedMs, share))),
    ...shares.map((share) => over(({ beside }) => quantile(beside.refusedMs, share))),
  ]);
  const times = ["placed ms, p50", "p99", "refused ms, p50", "p99"];
  return [
    `Peak: ${Math.round(quantile(peaks, 0.5))} orders a second.`,
    tableOf(["offered", "a second", "placed", "of the peak", "refused", "failed", ...times], crowd),
    "A client beside them, which places an order now and then:",
    tableOf(["offered by the others", "placed", "refused", "failed", ...times], bystander),
  ].join("\n\n");
}

const shares = [0.5, 0.99];
/** The median over the rounds. */
type Over = (read: (offered: Offered) => number) => number;

function tableOf(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [head, head.map((_, n) => (n === 0 ? "---" : "---:")), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
