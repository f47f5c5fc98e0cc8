import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Attack, pick, times } from "./adversary-attack.ts";
import {
  exchange,
  Finding,
  frame,
  linesOf,
  messagesIn,
  openSocket,
  post,
  statusOf,
  type Wire,
} from "./adversary-wire.ts";

type Frames = (wire: Wire) => void;

const ping = frame("x".repeat(125), { opcode: 9 });
const badFrames: readonly Frames[] = [
  (wire) => wire.send(frame("[]", { isMasked: false })),
  (wire) => wire.send(frame("[]", { reserved: 0x40 })),
  (wire) => wire.send(frame("[]", { reserved: 0x30 })),
  ...[3, 7, 11, 15].map(
    (opcode): Frames =>
      (wire) =>
        wire.send(frame("[]", { opcode })),
  ),
  (wire) => wire.send(frame("x".repeat(200), { opcode: 9 })),
  (wire) => wire.send(frame("", { opcode: 9, isFinal: false })),
  (wire) => wire.send(frame("[]", { opcode: 0 })),
  (wire) => wire.send(Buffer.concat([frame("[", { isFinal: false }), frame("[]")])),
  (wire) => wire.send(frame("", { declared: 2n ** 63n })),
  (wire) => wire.send(frame("", { declared: 2n ** 40n })),
  (wire) => wire.send(frame("x".repeat(1_000), { declared: 200_000n })),
  (wire) => wire.send(frame(Buffer.from([0xff, 0xfe, 0xc0]))),
  (wire) => wire.send(frame(randomBytes(64), { opcode: 2 })),
  (wire) => wire.send(frame(Buffer.from([0, 5]), { opcode: 8 })),
  (wire) => wire.send(frame("x", { opcode: 8 })),
  (wire) => wire.send(Buffer.concat([frame("", { opcode: 8 }), frame('["pull",1]'), ping])),
  (wire) => wire.send(Buffer.concat(times(5_000, () => frame("", { isFinal: false, opcode: 0 })))),
  (wire) =>
    wire.send(
      Buffer.concat([frame("", { isFinal: false }), ...times(20_000, () => frame("", { isFinal: false, opcode: 0 }))]),
    ),
  (wire) => wire.send(Buffer.concat(times(20_000, () => frame("")))),
  (wire) => wire.send(Buffer.concat(times(5_000, () => ping))),
  (wire) => wire.send(Buffer.concat(times(5_000, () => frame("x", { opcode: 10 })))),
  (wire) => wire.send(randomBytes(10_000)),
];

export async function badFramesSent(attack: Attack): Promise<void> {
  await Promise.all(
    badFrames.map(async (sendAll) => {
      const wire = await openSocket(
        attack.gateway,
        attack.random() < 0.5 ? [] : ["Sec-WebSocket-Protocol: flotilla.v1"],
      );
      if (!wire) return;
      sendAll(wire);
      messagesIn(await wire.until(() => false, 300));
      wire.end();
    }),
  );
}

/** Asks and asks, and takes no answer: what is not read must not pile up. */
export async function deafness(attack: Attack): Promise<void> {
  const wires = (await Promise.all(times(5, () => openSocket(attack.gateway)))).filter((wire) => wire !== undefined);
  const pings = Buffer.concat(times(1_000, () => ping));
  for (const { socket } of wires) socket.pause();
  for (let round = 0; round < 50 && performance.now() < attack.endMs; round += 1) {
    for (const wire of wires) if (wire.socket.writableLength < 1e6) wire.send(pings);
    await delay(10);
  }
  for (const wire of wires) wire.end();
}

const methods = [
  "login",
  "getUserProfile",
  "listUsers",
  "createOrder",
  "listOrders",
  "cancelOrder",
  "authenticate",
  "getUserByToken",
  "withdraw",
  "deposit",
  "constructor",
  "__proto__",
  "then",
  "dup",
  "toString",
  "",
];

/** A message as somebody makes it up who has read the protocol, and has no account. */
function message(attack: Attack, depth = 0): unknown {
  const { random } = attack;
  const id = () => Math.floor(random() * 8) - 2;
  const inner = () => (depth > 2 ? 1 : message(attack, depth + 1));
  const value = (): unknown =>
    pick<() => unknown>(
      [
        () => pick(["x", "bob", "\ud800", "\0", "user1", "order1", "../../etc/passwd", "' OR 1=1 --"], attack),
        () => pick([0, -1, 1e308, null, true, 2 ** 53], attack),
        () => ["pipeline", id(), pick([[], ["token"], [pick(methods, attack)]], attack)],
        () => [pick(["import", "export", "promise", "readable", "writable", "undefined", "nan"], attack), id()],
        () => [[inner(), inner()]],
        () => ({ a: inner(), toJSON: inner() }),
        () => ["error", "Error", "x", "stack", { code: "internal", cause: inner() }],
        () => ["remap", id(), [], [], [["pipeline", 0, []]]],
      ],
      attack,
    )();
  if (depth > 0) return value();
  const call = () => [
    "push",
    ["pipeline", random() < 0.6 ? 0 : id(), [pick(methods, attack)], times(Math.floor(random() * 4), value)],
  ];
  return pick<() => unknown>(
    [
      call,
      call,
      call,
      call,
      () => ["pull", id()],
      () => ["release", id(), 1],
      () => ["resolve", id(), value()],
      () => ["stream", value()],
      () => ["abort", value()],
    ],
    attack,
  )();
}

/** A stranger may ask anything: there is no answer for somebody without a token but a refusal. */
function expectRefusals(answers: readonly unknown[][]): void {
  for (const [operation, id, value] of answers) {
    // A method that is read and not called is a capability, which is none of the attacker's until it is called.
    const isCapability = Array.isArray(value) && (value[0] === "export" || value[0] === "import");
    if (operation === "resolve" && !isCapability)
      throw new Finding(`call ${String(id)} of a stranger succeeded: ${JSON.stringify(value)}`);
  }
}

export async function randomSessions(attack: Attack): Promise<void> {
  await Promise.all(
    times(30, async () => {
      const wire = await openSocket(attack.gateway);
      if (!wire) return;
      let calls = 0;
      for (let sent = 0; sent < 20; sent += 1) {
        const next = message(attack) as unknown[];
        wire.send(frame(JSON.stringify(next)));
        if (next[0] !== "push") continue;
        calls += 1;
        wire.send(frame(JSON.stringify(["pull", calls])));
      }
      expectRefusals(messagesIn(await wire.until(() => false, 300)));
      wire.end();
    }),
  );
}

export async function randomBatches(attack: Attack): Promise<void> {
  await Promise.all(
    times(30, async () => {
      const lines = times(8, () => JSON.stringify(message(attack)));
      const answer = await exchange(
        attack.gateway,
        post(lines.join("\n"), ["flotilla-timeout-ms: 1500", "Connection: close"]),
        4_000,
      );
      if (answer === "") throw new Finding(`a batch was not answered: ${lines.join(" ")}`);
      if (statusOf(answer) >= 500) throw new Finding(`a batch was answered ${answer.slice(0, 400)}`);
      expectRefusals(linesOf(answer));
    }),
  );
}

export async function batchAbuse(attack: Attack): Promise<void> {
  const push = '["push",["pipeline",0,["listUsers"],["x"]]]';
  const bodies: readonly (readonly [string, number])[] = [
    [times(101, () => push).join("\n"), 429],
    [`["push",["pipeline",0,["listUsers"],["${"x".repeat(300_000)}"]]]`, 413],
    ["[".repeat(100_000), 400],
    ['["abort",["error","Error","x"]]', 400],
    // Refused by itself: what the answer says of it is looked at below.
    ['["push",["pipeline",0,["listUsers"],[["promise",-1]]]]\n["pull",1]', 200],
    ["\n".repeat(10_000), 200],
    ["\0", 400],
  ];
  for (const [body, expected] of bodies) {
    const answer = await exchange(attack.gateway, post(body));
    // A server that refuses before it has read may close before its answer is read.
    if (answer !== "" && statusOf(answer) !== expected)
      throw new Finding(`${body.slice(0, 60)}… was answered ${answer.slice(0, 200)}`);
    if (expected === 200) expectRefusals(linesOf(answer));
  }
}

export async function guessing(attack: Attack): Promise<void> {
  const guesses = times(3, () => pick(["123456", "admin", "letmein", "", "Password1"], attack));
  const lines = guesses.flatMap((guess, at) => [
    JSON.stringify(["push", ["pipeline", 0, ["login"], [pick(["bob", "alice", "admin", "root"], attack), guess]]]),
    JSON.stringify(["pull", at + 1]),
  ]);
  expectRefusals(linesOf(await exchange(attack.gateway, post(lines.join("\n")), 8_000)));
}

/** Of so many guesses at one account some are refused before they are looked at, whoever that is. */
export async function hammering(attack: Attack): Promise<void> {
  const name = pick(["bob", "admin", randomBytes(6).toString("hex")], attack);
  const lines = times(12, (at) => [
    `["push",["pipeline",0,["login"],["${name}","guess${at}"]]]`,
    `["pull",${at + 1}]`,
  ]).flat();
  const answer = await exchange(attack.gateway, post(lines.join("\n")), 8_000);
  expectRefusals(linesOf(answer));
  if (!answer.includes('"rate_limited"')) throw new Finding(`12 guesses at one account were all looked at: ${answer}`);
}

/** More calls than an address may make: in the end they are refused, and for a while everybody's who comes from here. */
export async function overspending(attack: Attack): Promise<void> {
  const lines = times(100, (at) => ['["push",["pipeline",0,["listOrders"],["x"]]]', `["pull",${at + 1}]`]).flat();
  for (let sent = 0; sent < 60 && performance.now() < attack.endMs; sent += 4) {
    const answers = await Promise.all(times(4, () => exchange(attack.gateway, post(lines.join("\n")), 8_000)));
    for (const answer of answers) expectRefusals(linesOf(answer));
    if (answers.some((answer) => answer.includes('"rate_limited"'))) return;
  }
}
