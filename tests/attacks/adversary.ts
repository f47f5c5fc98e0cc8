// npx node tests/attacks/adversary.ts [--minutes M | --seconds S] [--seed N] [--gateway URL] [--users URL] [--orders URL]
//
// Attacks a running system for some minutes with nothing but Node's standard library and its public ports. Prints one line
// per technique and a verdict; ends with 1 when a service stopped answering, sent what it should not, or did what it
// should not. It uses up the log-ins of its address: who comes from there too waits a quarter of an hour, or restarts the
// gateway.
import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { makeRandom } from "../random.ts";
import type { Attack } from "./adversary-attack.ts";
import { techniques } from "./adversary-techniques.ts";
import {
  answerMsMax,
  exchange,
  Finding,
  frame,
  get,
  messagesIn,
  openSocket,
  type Port,
  statusOf,
  type Wire,
} from "./adversary-wire.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seconds: { type: "string" },
    seed: { type: "string" },
    gateway: { type: "string", default: "http://127.0.0.1:8080" },
    users: { type: "string", default: "http://127.0.0.1:8081" },
    orders: { type: "string", default: "http://127.0.0.1:8082" },
  },
});

/** Techniques at once: some wait, some work. */
const lanes = 4;
const watchMs = 250;
/** A technique is not ended in its middle; the last one may take this much longer. Milliseconds. */
const graceMs = 15_000;

const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const lengthMs = values.seconds === undefined ? Number(values.minutes) * 60_000 : Number(values.seconds) * 1_000;
if (!Number.isFinite(lengthMs) || !Number.isFinite(seed)) {
  process.stderr.write("--minutes, --seconds and --seed take numbers\n");
  process.exit(2);
}

const endMs = performance.now() + lengthMs;
const ports = (["gateway", "users", "orders"] as const).map((name) => portOf(name, values[name]));
const [gateway, ...inner] = ports as [Port, ...Port[]];
const attack: Attack = { gateway, inner, random: makeRandom(seed), endMs };
const runs = new Map<string, { times: number; finding?: string }>(
  Object.keys(techniques).map((name) => [name, { times: 0 }]),
);
const underWay = new Set<string>();
let slowestMs = 0;
let finding: string | undefined;

process.stdout.write(`seed ${seed}, ${Math.round(lengthMs / 1_000)} s\n`);
const overall = AbortSignal.timeout(lengthMs + graceMs);
overall.onabort = () => {
  note("the adversary itself", `${[...underWay].join(", ")} did not end`);
  conclude();
};
const witness = await openSocket(gateway);
if (!witness) note("watch", "the gateway opens no session");
await Promise.all([watch(witness), ...Array.from({ length: lanes }, lane)]);
witness?.end();
conclude();

/** One technique after the other: each once in an order by chance, then again. */
async function lane(): Promise<void> {
  while (performance.now() < endMs && !finding) {
    const fewest = Math.min(...[...runs.values()].map(({ times }) => times));
    const least = [...runs].filter(([name, { times }]) => times === fewest && !underWay.has(name));
    const [name, run] = least[Math.floor(attack.random() * least.length)] ?? [];
    if (!name || !run) {
      await delay(20);
      continue;
    }
    run.times += 1;
    underWay.add(name);
    try {
      await techniques[name]!(attack);
    } catch (error) {
      note(name, error instanceof Finding ? error.message : `the adversary failed: ${String(error)}`);
    }
    underWay.delete(name);
  }
}

/** All the while: every port answers, and so does a session that was open before it all began. */
async function watch(session: Wire | undefined): Promise<void> {
  let calls = 0;
  while (performance.now() < endMs && !finding) {
    const startMs = performance.now();
    const answers = await Promise.all(ports.map((port) => exchange(port, get("/healthz"), answerMsMax)));
    for (const [at, answer] of answers.entries()) {
      if (statusOf(answer) !== 200)
        note(
          "watch",
          `${ports[at]!.name} does not answer /healthz within ${answerMsMax} ms; under way: ${[...underWay].join(", ")}`,
        );
    }
    calls += 1;
    // A peer that answers no ping is gone, for a server; one answer before it was asked will do.
    session?.send(frame("", { opcode: 10 }));
    session?.send(frame('["push",["pipeline",0,["getUserProfile"],["x"]]]'));
    session?.send(frame(`["pull",${calls}]`));
    const id = calls;
    const heard = await session?.until((so) => messagesIn(so).some(([, of]) => of === id));
    if (heard && !messagesIn(heard).some(([, of]) => of === id))
      note("watch", `the gateway answers no call within ${answerMsMax} ms; under way: ${[...underWay].join(", ")}`);
    session?.send(frame(`["release",${calls},1]`));
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    await delay(watchMs);
  }
}

function note(technique: string, what: string): void {
  finding ??= `${technique}: ${what}`;
  const run = runs.get(technique);
  if (run) run.finding ??= what;
}

function conclude(): never {
  for (const [name, { times, finding: found }] of runs)
    process.stdout.write(`${name}: ${times} times, ${found ?? "nothing found"}\n`);
  process.stdout.write(`the slowest look at all ports took ${Math.round(slowestMs)} ms\n`);
  process.stdout.write(finding ? `FOUND by seed ${seed}: ${finding}\n` : "Nothing found\n");
  process.exit(finding ? 1 : 0);
}

function portOf(name: string, url: string): Port {
  const { hostname, port } = new URL(url);
  return { name, host: hostname, port: Number(port) };
}
