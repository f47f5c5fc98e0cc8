import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { measure } from "./measure.ts";
import { measureMechanisms } from "./mechanisms.ts";
import { readCommand } from "./options.ts";
import { writeReport } from "./report.ts";
import { type Results, readResults, summarise, thisCommit, thisMachine, writeResults } from "./results.ts";
import { measureScale } from "./scaling.ts";
import { startSystem } from "./system.ts";
import { mechanismTable, scaleTables } from "./table.ts";
import { canMeasure } from "./usage.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bench-test-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const { options } = readCommand(
  "--peers flotilla --seconds 0.5 --clients 4 --rounds 1 --shares 0.5 --seed 7".split(" "),
);

function resultsOf({ samples, counts }: Awaited<ReturnType<typeof measure>>): Results {
  const { variants, stores, seed, ...rest } = options;
  const [commit, machine, summary] = [thisCommit(), thisMachine(), summarise(samples)];
  return { startedAt: "2026-01-01", commit, seed, machine, options: rest, variants, stores, summary, counts, samples };
}

it("measures ours, keeps every acknowledged order, and writes results that the report can be made of", async () => {
  const progress: string[] = [];
  const quick = { ...options, warmSeconds: 0.1 };
  const profileTo = join(directory, "profiles");
  const onProgress = (line: string) => progress.push(line);
  const measured = await measure({ options: quick, store: "memory", profileTo, onProgress });
  const collected = readFileSync(join(profileTo, "flotilla-memory", "gateway", "collector.txt"), "utf8");
  expect(collected).toMatch(/^young [1-9]\d* pauses \d+ ms\nold \d+ pauses \d+ ms\n$/);
  expect(measured.counts).toEqual([
    { variant: "flotilla", store: "memory", acknowledged: expect.any(Number), stored: expect.any(Number) },
  ]);
  const [{ acknowledged, stored } = { acknowledged: 0, stored: 0 }] = measured.counts;
  expect(acknowledged).toBeGreaterThan(0);
  expect(stored).toBe(acknowledged);
  expect(measured.samples.map(({ offered }) => offered)).toEqual([
    { kind: "closed", clients: 4 },
    { kind: "open", share: 0.5 },
  ]);
  for (const { result } of measured.samples) {
    expect(result).toMatchObject({ failed: 0, rate: expect.any(Number), p50: expect.any(Number) });
    expect(result.rate).toBeGreaterThan(0);
    expect(result.p50).toBeLessThanOrEqual(result.p99);
    expect(result.serverCpu).toEqual(canMeasure ? expect.any(Number) : null);
  }

  const results = resultsOf(measured);
  const file = join(directory, "results.json");
  writeResults(file, results);
  expect(readResults(file)).toEqual(JSON.parse(JSON.stringify(results)));
  writeReport(results, directory);
  writeReport(results, directory);
  const page = readFileSync(join(directory, "performance.md"), "utf8");
  expect(page.match(/\| \*\*flotilla\*\* \|/g)).toHaveLength(canMeasure ? 3 : 2);
  expect(readFileSync(join(directory, "performance.svg"), "utf8")).toContain("Orders per second, 4 clients");
});

it("leaves no process, no port and no file behind", async () => {
  const [variant] = options.variants;
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith("bench-flotilla"));
  const system = await startSystem({ variant: variant!, store: "sqlite" });
  const { failed } = await system.run({ kind: "closed", clients: 4, seconds: 0.2 });
  const { acknowledged, stored } = await system.stop();
  expect(failed).toBe(0);
  expect(stored).toBe(acknowledged);
  for (const pid of system.pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  for (const address of Object.values(system.addresses)) await expectFree(Number(new URL(address).port));
  const after = readdirSync(tmpdir()).filter((name) => name.startsWith("bench-flotilla"));
  expect(after.filter((name) => !before.includes(name))).toEqual([]);
});

it("counts what sessions, accounts and orders take as they become more", async () => {
  const scale = { sessions: [0, 40], accounts: [0, 240], orders: [1_000], seconds: 0.3 };
  const { idle, held, pages } = await measureScale(scale, () => {});
  expect(idle.map(({ sessions }) => sessions)).toEqual([0, 40]);
  expect(held[1]!.heldBytes.gateway).toBeGreaterThan(held[0]!.heldBytes.gateway);
  expect(pages[0]!.orders).toBeGreaterThanOrEqual(1_000);
  const tables = scaleTables({ idle, held, pages });
  expect(tables.match(/^\| (idle WebSocket sessions|accounts held, each used|orders of one user) \|/gm)).toHaveLength(
    3,
  );
  expect(tables).not.toContain("NaN");
});

it("measures every mechanism's part of an order", async () => {
  const costs = await measureMechanisms(1, 30);
  for (const micros of Object.values(costs)) expect(micros).toEqual(expect.any(Number));
  // A cost measured by itself is positive; a difference may drown in so short a time.
  for (const micros of [costs.core, costs.stock, costs.storeMemory, costs.storeSqlite]) {
    expect(micros).toBeGreaterThan(0);
  }
  const shown = mechanismTable(costs, { memory: 100, sqlite: null });
  expect(shown).toContain("| introduction, used again |");
  expect(shown).not.toContain("NaN");
});

function expectFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve()));
  });
}
