import { cpus, totalmem } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { makePasswords } from "../../shop/users/password.ts";
import { startProcesses, until } from "../process-harness.ts";
import type { HonestCall } from "./honest.child.ts";
import { startHonest } from "./honest.ts";
import { dialTcp, post, type RawConnection } from "./hostile-http.ts";
import { callOf, dial, type HostilePeer, list, type Message } from "./hostile-peer.ts";

/** Each attack has so many rounds, and before each of them the customer is alone for as long. */
const rounds = 5;
const roundMs = 1_500;
/** What the attacker does side by side. */
const parallel = 4;
/** Where the attacker comes from; only Linux has it without being told, and elsewhere it shares the customer's limits. */
const localAddress = process.platform === "linux" ? "127.0.0.2" : undefined;
/** Between two calls of the customer. Milliseconds. */
const pauseMs = 5;

interface Attacked {
  readonly url: string;
  readonly token: string;
}

interface Attack {
  readonly row: string;
  readonly name: string;
  /** Once; it is repeated for as long as the round lasts, `parallel` of it at a time. */
  once(at: Attacked): Promise<unknown>;
  /** Default `parallel`. */
  readonly parallel?: number;
}

/** Dials, sends, and waits until it is thrown out. */
const session = (row: string, name: string, send: (peer: HostilePeer, at: Attacked) => unknown): Attack => ({
  row,
  name,
  async once(at) {
    using peer = await dial(at.url, { framing: "flotilla.v1", localAddress });
    peer.socket.on("error", () => {});
    await send(peer, at);
    await Promise.race([peer.closed, delay(roundMs)]);
  },
});

/** Dials, calls, and goes when all is answered. */
const asking = (row: string, name: string, calls: (peer: HostilePeer, at: Attacked) => readonly number[]): Attack => ({
  row,
  name,
  async once(at) {
    using peer = await dial(at.url, { framing: "flotilla.v1", localAddress });
    for (const id of calls(peer, at)) await peer.answer(id);
  },
});

const batch = (row: string, name: string, body: (at: Attacked) => string): Attack => ({
  row,
  name,
  once: (at) => post(`${at.url}/rpc/batch`, { body: body(at), localAddress }),
});

const text = (messages: readonly Message[]) => messages.map((message) => JSON.stringify(message)).join("\n");
const times = (count: number, message: (index: number) => Message) =>
  Array.from({ length: count }, (_, i) => message(i));
const call = (index = 0): Message => ["push", ["pipeline", index, ["listUsers"], ["x"]]];
const elements = Array.from({ length: 1_000 }, () => 0);
const program = ["remap", 0, [], [], [["remap", 0, [], [["import", -1]], [[elements]]], [elements]]];
const megabytes = (count: number) => "x".repeat(count * 1024 * 1024);
const nested = (depth: number): unknown =>
  depth === 0 ? ["error", "Error", "x"] : ["error", "Error", "x", null, { cause: nested(depth - 1) }];

const attacks: readonly Attack[] = [
  {
    row: "-",
    name: "control: the attacker's process computes, and sends nothing",
    parallel: 1,
    async once() {
      const endMs = performance.now() + 20;
      while (performance.now() < endMs);
      await delay(1);
    },
  },
  {
    row: "-",
    name: "control: sessions that open and close as fast as they go",
    once: async (at) => (await dial(at.url, { localAddress })).socket.terminate(),
  },
  batch("-", "control: batches of one call as fast as they go", () => text(callOf("listUsers", ["x"]))),
  session("R1", "nested .map() of 1,000 × 1,000", (peer) => peer.send(["push", program])),
  session("R1", "calls pipelined on each other, 4,000 deep", (peer) => peer.send(...times(4_000, call))),
  session("R2", "1,500 calls, never released", (peer) => peer.send(...times(1_500, () => call()))),
  session("R2", "10,000 messages in one go", (peer) =>
    peer.send(...times(5_000, () => []).flatMap((_, i): Message[] => [call(), ["release", i + 1, 1]])),
  ),
  session("R3", "20,000 pipes", (peer) => peer.send(...times(20_000, () => ["pipe"]))),
  batch("R4", "a batch of 230 KB, 3,000 calls", () => text(times(3_000, () => call()))),
  batch("R4", "a batch of 100 calls with a bad token", () =>
    text(times(100, () => call()).concat(times(100, (i) => ["pull", i + 1]))),
  ),
  batch("R4", "a batch of 300 KB", () => " ".repeat(300 * 1024)),
  session("R5", "a promise of the sender's as an argument", (peer) =>
    peer.send(...callOf("listUsers", [["promise", -1]])),
  ),
  session("R6", "lists that nobody reads, ten at a time", async (peer, at) => {
    peer.tcp.pause();
    for (let i = 0; i < 15; i += 1) {
      peer.call("listOrders", [at.token]);
      await delay(100);
    }
  }),
  session("T7", "an error of 24 causes", (peer) => peer.send(...callOf("listUsers", [nested(24)]))),
  session("R10", "16 MB of garbage in one frame", (peer) => peer.sendFrame(megabytes(16))),
  session("R10", "200 KB of garbage in one frame", (peer) => peer.sendFrame("x".repeat(200_000))),
  asking("T6", "4,900 values in one message", (peer) => [
    peer.call("listUsers", [list(...times(4_900, () => list() as Message))]),
  ]),
  asking("T6", "a bigint of 16,384 digits", (peer) => [peer.call("listUsers", [["bigint", "7".repeat(16_384)]])]),
  asking("R12", "20 passwords of 10 KB", (peer) =>
    times(20, () => []).map(() => peer.call("login", ["bob", "p".repeat(10_000)])),
  ),
  session("T11", "frames that are not the protocol", (peer) => peer.sendFrame('["pull",-1]')),
  asking("R15", "50 KB texts for every validator", (peer, at) => [
    peer.call("createOrder", [at.token, list({ name: "Mouse", quantity: 1, price: 1 }), "-".repeat(50_000)]),
    peer.call("createOrder", ["a".repeat(50_000), list()]),
  ]),
  {
    row: "W1",
    name: "upgrades that are refused for their origin",
    once: (at) => dial(at.url, { localAddress, headers: { origin: "https://evil.example" } }).catch(() => {}),
  },
  asking("R14", "1,000 calls with a bad token, as many as one may have under way", (peer) =>
    times(1_000, () => []).map(() => peer.call("listUsers", ["x"])),
  ),
  asking("R14", "one account's lists of 1,000 orders, 20 at once", (peer, at) =>
    times(20, () => []).map(() => peer.call("listOrders", [at.token])),
  ),
  asking("R11", "wrong passwords, 16 at once", (peer) =>
    times(16, () => []).map(() => peer.call("login", ["bob", "wrong"])),
  ),
];

/** Held for a whole round, and not repeated. */
const holding: readonly { readonly row: string; readonly name: string; hold(at: Attacked): Promise<Disposable[]> }[] = [
  {
    row: "R7",
    name: "250 sessions that say nothing",
    hold: (at) => Promise.all(times(250, () => []).map(() => dial(at.url, { localAddress }))),
  },
  {
    row: "R8",
    name: "500 connections that trickle a header",
    hold: (at) =>
      Promise.all(
        times(500, () => []).map(async (): Promise<RawConnection> => {
          const connection = await dialTcp(at.url);
          connection.write("POST /rpc/batch HTTP/1.1\r\nx-a: ");
          return connection;
        }),
      ),
  },
];

/** Log-ins come at this multiple of what can be hashed, whatever is answered; every attempt is at another account. */
const floodTimes = 20;

interface Flood {
  readonly row: string;
  readonly name: string;
  /** Addresses of the attacker; elsewhere than on Linux they are one. */
  readonly networks: number;
}

const floods: readonly Flood[] = [
  { row: "R11", name: `wrong passwords, ${floodTimes} times what can be hashed, from one network`, networks: 1 },
  { row: "R11", name: `wrong passwords, ${floodTimes} times what can be hashed, from 16 networks`, networks: 16 },
];

/** After so long what was asked is let go, answered or not: who holds on to too much is thrown out. Milliseconds. */
const giveUpMs = 200;

/**
 * Sends `perSecond` log-ins in even portions for a round, as cheaply as can be: what the attacker computes would be missing
 * to the services on this machine, and is no part of the attack. @returns how many.
 */
async function flood(at: Attacked, networks: number, perSecond: number): Promise<number> {
  const peers = await Promise.all(
    times(networks, () => []).map((_, i) =>
      dial(at.url, { framing: "flotilla.v1", localAddress: localAddress && `127.0.1.${i + 1}`, isDeaf: true }),
    ),
  );
  const startMs = performance.now();
  const dueAt = (ms: number) => Math.max(0, Math.floor((ms / 1_000) * perSecond));
  let sent = 0;
  let released = 0;
  for (let nowMs = 0; nowMs < roundMs; nowMs = performance.now() - startMs) {
    const frames: string[][] = peers.map(() => []);
    for (const due = dueAt(nowMs); sent < due; sent += 1) {
      const id = peers[sent % networks]!.takeId();
      const call = `["push",["pipeline",0,["login"],["guess${sent}","wrong"]]]`;
      frames[sent % networks]!.push(call, `["pull",${id}]`);
    }
    for (const due = dueAt(nowMs - giveUpMs); released < due; released += 1) {
      frames[released % networks]!.push(`["release",${Math.floor(released / networks) + 1},1]`);
    }
    for (const [i, lines] of frames.entries()) if (lines.length > 0) peers[i]!.sendFrame(lines.join("\n"));
    await delay(5);
  }
  const isCut = peers.some(({ socket }) => socket.readyState !== socket.OPEN);
  for (const peer of peers) peer[Symbol.dispose]();
  if (isCut) throw new Error("a session of the flood was ended: this measured less than a flood");
  return sent;
}

/** Passwords that the machine compares in a second when it has nothing else to do. */
async function hashedPerSecond(): Promise<number> {
  const passwords = makePasswords();
  const untilMs = performance.now() + 1_000;
  let compared = 0;
  const worker = async () => {
    for (; performance.now() < untilMs; compared += 1) await passwords.verify(undefined, "wrong");
  };
  await Promise.all([1, 2, 3, 4].map(worker));
  return compared;
}

/**
 * Measures what an honest customer, in a process of its own, notices of each resource attack: in turn a round alone and a
 * round beside the attacker, so that a machine that gets slower does so for both.
 * @param words only attacks whose row or name has one of them; all when there is none.
 * @returns a table in Markdown.
 */
export async function measure(words: readonly string[] = []): Promise<string> {
  await using shop = await startProcesses();
  const at = { url: shop.urls.gateway, token: await ordersOfCharlie(shop.urls.gateway) };
  const honest = await startHonest(at.url, pauseMs);
  const rows: string[] = [];
  const roundOf = async (beside?: () => Promise<void>) => {
    honest.begin();
    await Promise.all([delay(roundMs), beside?.()]);
    await honest.end();
    return honest.calls();
  };
  try {
    await roundOf();
    const capacity = await hashedPerSecond();
    process.stderr.write(`${capacity} passwords are compared in a second\n`);
    for (const { row, name, besides } of all(at, floodTimes * capacity)) {
      if (words.length > 0 && !words.some((word) => `${row} ${name}`.includes(word))) continue;
      const alone: HonestCall[] = [];
      const beside: HonestCall[] = [];
      let count = 0;
      for (let round = 0; round < rounds; round += 1) {
        alone.push(...(await roundOf()));
        beside.push(
          ...(await roundOf(async () => {
            count += await besides();
          })),
        );
        await until(async () => (await shop.stats("gateway")).server.sessions === 1, "the attacker is gone");
      }
      rows.push(lineOf(row, name, { count, alone, beside }));
      process.stderr.write(`${rows.at(-1)}\n`);
    }
  } finally {
    await honest.close();
  }
  return [about(), "", ...heading, ...rows, ""].join("\n");
}

const heading = [
  "| row | attack | times/s | alone p50 | alone p99 | alone worst | attacked p50 | attacked p99 | attacked worst | p99 ratio | failed |",
  "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
];

function all(at: Attacked, floodPerSecond: number) {
  const repeated = attacks.map(({ row, name, once, parallel: atOnce = parallel }) => ({
    row,
    name,
    async besides() {
      const endMs = performance.now() + roundMs;
      let count = 0;
      const worker = async () => {
        while (performance.now() < endMs) {
          await once(at).catch(() => {});
          count += 1;
        }
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      return count;
    },
  }));
  const held = holding.map(({ row, name, hold }) => ({
    row,
    name,
    async besides() {
      const connections = await hold(at);
      await delay(roundMs);
      for (const connection of connections) connection[Symbol.dispose]();
      return connections.length;
    },
  }));
  const flooding = floods.map(({ row, name, networks }) => ({
    row,
    name,
    besides: () => flood(at, networks, floodPerSecond),
  }));
  return [...repeated, ...held, ...flooding];
}

interface Measured {
  readonly count: number;
  readonly alone: readonly HonestCall[];
  readonly beside: readonly HonestCall[];
}

function lineOf(row: string, name: string, { count, alone, beside }: Measured): string {
  const before = summary(alone);
  const during = summary(beside);
  const figures = [...before, ...during].map((ms) => ms.toFixed(1));
  const perSecond = Math.round(count / ((rounds * roundMs) / 1_000));
  const failed = [...alone, ...beside].filter(({ failure }) => failure !== undefined).length;
  return `| ${[row, name, perSecond, ...figures, (during[1] / before[1]).toFixed(1), failed].join(" | ")} |`;
}

/** p50, p99 and the worst. Milliseconds. */
function summary(calls: readonly HonestCall[]): [number, number, number] {
  const sorted = calls.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return [at(0.5), at(0.99), at(1)];
}

function about(): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${machine}, ${process.platform}, Node ${process.version}; ${rounds} rounds of ${roundMs} ms; times in ms.`;
}

/** So many orders that a list is as long as one may be. @returns charlie's token. */
async function ordersOfCharlie(url: string): Promise<string> {
  using peer = await dial(url, { framing: "flotilla.v1" });
  const [, , login] = await peer.answer(peer.call("login", ["charlie", "password"]));
  const { token } = login as { token: string };
  const item = { name: "Laptop", quantity: 1, price: 999.99 };
  for (let placed = 0; placed < 1_000; placed += 50) {
    const ids = times(50, () => []).map(() => peer.call("createOrder", [token, list(item)]));
    for (const id of ids) await peer.answer(id);
    peer.send(...ids.map((id): Message => ["release", id, 1]));
  }
  return token;
}
