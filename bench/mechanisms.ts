// What each mechanism of the kit costs by itself: processor time, in one process, over links in memory unless it is about
// sockets. Most are had by taking away: the same calls with it and without.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withContext } from "@flotilla/kit";
import { openSqliteOrderStore } from "../shop/orders/store-sql.ts";
import { makeMemoryOrders } from "./ours/memory-orders.ts";
import { median } from "./results.ts";
import {
  BareDesk,
  checkedDesk,
  introductions,
  kitCalls,
  order,
  question,
  type Subject,
  socketCalls,
  stockCalls,
  stores,
} from "./subjects.ts";

/** Of one order, processor time in microseconds: what its servers spend on it. */
export interface Costs {
  /** Its calls, with our checks, limits and deadlines. */
  readonly core: number;
  /** Beside it: the same calls in stock Cap'n Web, which has none of these. */
  readonly stock: number;
  /** One for each call: deriving, writing and reading it. */
  readonly context: number;
  /** Schemas of their arguments, proof of their results, their turns. */
  readonly boundary: number;
  /** WebSockets over TCP instead of links in memory, with 64 calls under way. */
  readonly sockets: number;
  /** The use of an introduction that was made before, without its calls. */
  readonly introduction: number;
  /** What the first order of a user costs more: the introduction itself, and its end. */
  readonly firstIntroduction: number;
  readonly storeMemory: number;
  readonly storeSqlite: number;
}

/** Callers at once. */
const underWay = 64;

/** Medians of `rounds`, each of which measures everything for `ms` milliseconds; all that is measured meets the same machine. */
export async function measureMechanisms(rounds: number, ms: number): Promise<Costs> {
  const directory = mkdtempSync(join(tmpdir(), "bench-mechanisms-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true }));
  const subjects = {
    stockOrders: stockCalls(order),
    stockQuestions: stockCalls(question),
    sharedOrders: kitCalls(order, new BareDesk()),
    sharedQuestions: kitCalls(question, new BareDesk()),
    bareOrders: kitCalls(order, new BareDesk()),
    bareQuestions: kitCalls(question, new BareDesk()),
    checkedOrders: kitCalls(order, checkedDesk()),
    checkedQuestions: kitCalls(question, checkedDesk()),
    socketOrders: await socketCalls(order),
    socketQuestions: await socketCalls(question),
    introduced: introductions({ areReused: true }),
    introducing: introductions({ areReused: false }),
    memory: stores(makeMemoryOrders()),
    sqlite: stores(openSqliteOrderStore(join(directory, "orders.db"))),
  } satisfies Record<string, Subject>;
  for (const subject of Object.values(subjects)) stack.use(subject);

  const samples = new Map<string, number[]>();
  // The first round is not counted: its code is still being compiled.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, subject] of Object.entries(subjects)) {
      // One context for all calls is written once in a frame.
      const hasOneContext = name.startsWith("shared");
      const measured = hasOneContext ? withContext({}, () => microsOf(subject, ms)) : microsOf(subject, ms);
      const micros = await measured;
      if (round > 0) samples.set(name, [...(samples.get(name) ?? []), micros]);
    }
  }
  const micros = (name: keyof typeof subjects) => median(samples.get(name)!);
  // An order is one call of the client's, of which the servers have one half, the same call of the gateway's, and a question.
  const calls = (kind: "stock" | "shared" | "bare" | "checked" | "socket") =>
    1.5 * micros(`${kind}Orders`) + micros(`${kind}Questions`);
  return {
    core: calls("shared"),
    stock: calls("stock"),
    context: calls("bare") - calls("shared"),
    // All of it is where the call goes.
    boundary:
      2 * (micros("checkedOrders") - micros("bareOrders")) + micros("checkedQuestions") - micros("bareQuestions"),
    sockets: calls("socket") - calls("checked"),
    introduction: micros("introduced") - micros("checkedOrders") - micros("checkedQuestions"),
    firstIntroduction: micros("introducing") - micros("introduced"),
    storeMemory: micros("memory"),
    storeSqlite: micros("sqlite"),
  };
}

async function microsOf({ run }: Subject, ms: number): Promise<number> {
  const endMs = performance.now() + ms;
  const before = process.cpuUsage();
  let done = 0;
  const caller = async () => {
    while (performance.now() < endMs) {
      await run();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: underWay }, caller));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / done;
}
