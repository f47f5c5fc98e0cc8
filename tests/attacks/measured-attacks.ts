// The attacks that are measured, as the attacker's process runs them; the floods of raw bytes are in raw-floods.ts.
import { setTimeout as delay } from "node:timers/promises";
import { makePasswords } from "../../shop/users/password.ts";
import type { Attacked, MeasuredAttack } from "./attacker.ts";
import { dialTcp, post, type RawConnection } from "./hostile-http.ts";
import { callOf, dial, type HostilePeer, list, type Message } from "./hostile-peer.ts";
import { localAddress, rawFloods } from "./raw-floods.ts";

/** Repetitions of one attack side by side. */
const parallel = 4;
/** A session that the gateway does not end is given up after this. Milliseconds. */
const sessionMsMax = 1_500;

interface Attack {
  readonly row: string;
  readonly name: string;
  /** One attempt; repeated for as long as the round lasts, `parallel` at a time. */
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
    await Promise.race([peer.closed, delay(sessionMsMax)]);
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
    name: "sessions that open and close as fast as they go",
    once: async (at) => (await dial(at.url, { localAddress })).socket.terminate(),
  },
  batch("-", "batches of one call as fast as they go", () => text(callOf("listUsers", ["x"]))),
  asking("R1", "nested .map() of 1,000 × 1,000", (peer) => [peer.call("listUsers", [program])]),
  session("R1", "calls pipelined on each other, 4,000 deep", (peer) => peer.send(...times(4_000, call))),
  session("R1", "990 calls that each wait for the one before", (peer) =>
    peer.send(
      call(),
      ...times(990, () => []).map((_, i): Message => ["push", ["pipeline", 0, ["x"], [["pipeline", i + 1]]]]),
    ),
  ),
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
  asking("R5", "a promise of the sender's as an argument", (peer) => [peer.call("listUsers", [["promise", -1]])]),
  session("R6", "lists that nobody reads, ten at a time", async (peer, at) => {
    peer.tcp.pause();
    for (let i = 0; i < 15; i += 1) {
      peer.call("listOrders", [at.token]);
      await delay(100);
    }
  }),
  asking("T7", "an error of 24 causes", (peer) => [peer.call("listUsers", [nested(24)])]),
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

interface Holding {
  readonly row: string;
  readonly name: string;
  /** Opened at the start of a round, disposed at its end. */
  hold(at: Attacked): Promise<Disposable[]>;
}

const holding: readonly Holding[] = [
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
          const connection = await dialTcp(at.url, { localAddress });
          connection.write("POST /rpc/batch HTTP/1.1\r\nx-a: ");
          return connection;
        }),
      ),
  },
];

/** Log-ins come at this multiple of what can be hashed, whatever is answered; every attempt is at another account. */
const floodTimes = 20;

const loginFlood = (from: string, networks: number): MeasuredAttack => ({
  row: "R11",
  name: `wrong passwords, ${floodTimes} times what can be hashed, from ${from}`,
  run: async (at, roundMs) => await floodLogins(at, { networks, roundMs, perSecond: floodTimes * (await capacity()) }),
});

/** After so long what was asked is let go, answered or not: who holds on to too much is thrown out. Milliseconds. */
const giveUpMs = 200;

interface LoginFlood {
  /** Addresses of the attacker; elsewhere than on Linux they are one. */
  readonly networks: number;
  readonly perSecond: number;
  readonly roundMs: number;
}

/**
 * Sends `perSecond` log-ins in even portions for a round, as cheaply as can be: what the attacker computes would be missing
 * to the services on this machine, and is no part of the attack. @returns how many.
 */
async function floodLogins(at: Attacked, { networks, perSecond, roundMs }: LoginFlood): Promise<number> {
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

let hashedPerSecond: Promise<number> | undefined;

/** Measured once, in the first round; the machine also serves the customer then. */
function capacity(): Promise<number> {
  hashedPerSecond ??= measureHashing();
  return hashedPerSecond;
}

/** Passwords that the machine compares in a second. */
async function measureHashing(): Promise<number> {
  const passwords = makePasswords();
  const untilMs = performance.now() + 1_000;
  let compared = 0;
  const worker = async () => {
    for (; performance.now() < untilMs; compared += 1) await passwords.verify(undefined, "wrong");
  };
  await Promise.all([1, 2, 3, 4].map(worker));
  return compared;
}

const repeated = ({ row, name, once, parallel: atOnce = parallel }: Attack): MeasuredAttack => ({
  row,
  name,
  async run(at, roundMs) {
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
});

const held = ({ row, name, hold }: Holding): MeasuredAttack => ({
  row,
  name,
  async run(at, roundMs) {
    const connections = await hold(at);
    await delay(roundMs);
    for (const connection of connections) connection[Symbol.dispose]();
    return connections.length;
  },
});

export const measuredAttacks: readonly MeasuredAttack[] = [
  ...attacks.map(repeated),
  ...holding.map(held),
  loginFlood("one network", 1),
  loginFlood("16 networks", 16),
  ...rawFloods,
];
