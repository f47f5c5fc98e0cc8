import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { edgeLimits, type Limits } from "../base/limits.ts";
import { openSession } from "../session/session.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeMemoryLink } from "../transport/memory.ts";
import { Permissive } from "./fixtures/raw-peer.ts";
import { type Step, stepOf, Talker } from "./fixtures/talker.ts";
import { RpcTarget } from "./stub.ts";

const tight: Limits = {
  ...edgeLimits,
  messageNodesMax: 200,
  messageDepthMax: 8,
  outstandingCallsMax: 20,
  exportsMax: 10,
  messageReferencesMax: 8,
  pipelineDepthMax: 4,
};
const operations = ["push", "call", "pull", "resolve", "reject", "release", "abort", "stream", "pipe"];
const tags = [
  ...["pipeline", "import", "export", "promise", "remap", "error", "bigint", "date", "bytes", "url", "undefined"],
  ...["nan", "readable", "writable", "blob", "request"],
];

/** Messages of any kind: some senseless, many nearly right. */
const { message } = fc.letrec<{ value: unknown; expression: unknown; call: unknown; good: unknown; message: unknown }>(
  (tie) => ({
    value: fc.oneof(
      { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
      fc.integer({ min: -5, max: 5 }),
      fc.array(tie("value"), { maxLength: 3 }).map((items) => [items]),
      { weight: 3, arbitrary: tie("expression") },
    ),
    expression: fc.oneof(
      {
        weight: 4,
        arbitrary: fc.tuple(fc.constantFrom("import", "pipeline", "export"), fc.integer({ min: -4, max: 8 })),
      },
      fc.tuple(fc.constantFrom(...tags), fc.array(tie("value"), { maxLength: 4 })).map(([tag, rest]) => [tag, ...rest]),
    ),
    call: fc
      .tuple(fc.integer({ min: -3, max: 9 }), method(), fc.array(tie("value"), { maxLength: 3 }))
      .map(([id, path, args]) => ["pipeline", id, path, args]),
    good: fc.oneof(
      { weight: 5, arbitrary: fc.tuple(fc.constantFrom("push", "call", "stream"), tie("call")) },
      { weight: 2, arbitrary: fc.tuple(fc.constant("pull"), fc.integer({ min: 0, max: 9 })) },
      { weight: 3, arbitrary: fc.tuple(fc.constant("release"), fc.integer({ min: -4, max: 9 }), fc.constant(1)) },
      fc.tuple(fc.constant("release"), fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 4 })),
      fc.tuple(fc.constantFrom("resolve", "reject"), fc.integer({ min: -4, max: 9 }), tie("value")),
      fc.constant(["pipe"]),
    ),
    message: fc.oneof(
      { weight: 12, arbitrary: tie("good") },
      fc
        .tuple(fc.constantFrom(...operations), fc.array(tie("value"), { maxLength: 4 }))
        .map(([op, rest]) => [op, ...rest]),
      fc.jsonValue(),
    ),
  }),
);

function method() {
  return fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom("f", "self", "hang", "echo", "fail", "give", "ask").map((name) => [name]) },
    fc.constant([]),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 5 }),
  );
}

/** Also hands out what it makes, and calls what it is handed. */
class Lively extends Permissive {
  static live = 0;

  constructor() {
    super();
    Lively.live += 1;
  }

  override self(): Lively {
    return new Lively();
  }

  give(): unknown {
    return { list: [new Lively(), new Lively()], more: () => "more" };
  }

  async ask(...args: unknown[]): Promise<number> {
    let said = 0;
    for (const arg of args) {
      if (!(arg instanceof RpcTarget)) continue;
      disposeAll(await (arg as unknown as { f(): Promise<unknown> }).f());
      said += 1;
    }
    return said;
  }

  [Symbol.dispose](): void {
    Lively.live -= 1;
  }
}

const orphans: unknown[] = [];
const note = (reason: unknown) => void orphans.push(reason);
beforeEach(() => {
  orphans.length = 0;
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
});
afterEach(() => {
  process.off("unhandledRejection", note);
  process.off("uncaughtException", note);
});

/** The receiver disposes results. */
function disposeAll(value: unknown): void {
  const isObject = value !== null && (typeof value === "object" || typeof value === "function");
  if (isObject && Symbol.dispose in value) (value as Disposable)[Symbol.dispose]();
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Says `frames` to a session of ours, and looks at it after each; in the end nothing is left of anything. */
async function say(frames: readonly (readonly unknown[])[]): Promise<void> {
  const clock = makeVirtualClock();
  const { left, right } = makeMemoryLink();
  left.listen({ frame() {}, closed() {} });
  Lively.live = 0;
  const session = openSession(right, { localMain: new Lively(), clock, limits: tight, onHiddenError() {} });
  let ended: FlotillaError | undefined;
  void session.closed.then((reason) => (ended = reason));
  const far = session.remoteMain as unknown as { f(...args: unknown[]): Promise<unknown> };
  for (const frame of frames) {
    void far.f(new Lively()).then(disposeAll, () => {});
    left.send(frame.map((one) => JSON.stringify(one)).join("\n"));
    for (let turns = 0; turns < 3; turns += 1) await turn();
    const { imports, exports } = session.stats();
    expect(exports).toBeLessThanOrEqual(1 + 2 * tight.outstandingCallsMax);
    expect(imports).toBeLessThanOrEqual(1 + tight.exportsMax + 3 * frames.length * tight.outstandingCallsMax);
    if (ended) expect(["invalid_argument", "resource_exhausted", "unavailable"]).toContain(ended.code);
  }
  // Every call is over at its deadline, at the latest.
  await clock.advance(31_000);
  session.close(new FlotillaError("unavailable", "The test is over"));
  await clock.settle();
  expect(session.stats()).toEqual({ imports: 1, exports: 1 });
  expect(Lively.live).toBe(0);
  expect(orphans).toEqual([]);
}

/** Sends valid messages, releases everything, and checks that nothing is left while the session lives. */
async function talk(frames: readonly (readonly Step[])[]): Promise<void> {
  const clock = makeVirtualClock();
  const { left, right } = makeMemoryLink();
  const talker = new Talker(tight.outstandingCallsMax - 8);
  left.listen({ frame: (text) => talker.hear(text), closed() {} });
  Lively.live = 0;
  const session = openSession(right, { localMain: new Lively(), clock, limits: tight, onHiddenError() {} });
  let ended: FlotillaError | undefined;
  void session.closed.then((reason) => (ended = reason));
  const far = session.remoteMain as unknown as { f(...args: unknown[]): Promise<unknown> };
  const send = (messages: readonly unknown[]) => left.send(messages.map((one) => JSON.stringify(one)).join("\n"));
  for (const frame of frames) {
    void far.f(new Lively(), () => "called").then(disposeAll, () => {});
    for (let turns = 0; turns < 3; turns += 1) await turn();
    send(frame.map((step) => talker.say(step)));
    for (let turns = 0; turns < 3; turns += 1) await turn();
    expect(ended).toBeUndefined();
  }
  await clock.advance(31_000);
  for (let left = talker.leave(); left.length > 0; left = talker.leave()) {
    send(left);
    await clock.settle();
  }
  expect(ended).toBeUndefined();
  expect(session.stats()).toEqual({ imports: 1, exports: 1 });
  expect(Lively.live).toBe(1);
  expect(orphans).toEqual([]);
  session.close(new FlotillaError("unavailable", "The test is over"));
}

describe("whatever arrives", () => {
  test("a session lives on or ends with a coded error; nothing is thrown, orphaned or kept", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(message, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 }),
        say,
      ),
      { numRuns: 400 },
    );
  });

  test("as long as it is allowed the session lives, and nothing is kept for who lets go of all", async () => {
    const step = stepOf(["f", "self", "hang", "echo", "fail", "give", "ask"]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 }), talk),
      { numRuns: 400 },
    );
  });

  test("as text that is no JSON, it ends the session", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        const { left, right } = makeMemoryLink();
        left.listen({ frame() {}, closed() {} });
        const session = openSession(right, { localMain: new Permissive(), onHiddenError() {} });
        left.send(`[${text}`);
        for (let turns = 0; turns < 3; turns += 1) await turn();
        left.terminate();
        const { code } = await session.closed;
        expect(["invalid_argument", "unavailable"]).toContain(code);
        expect(orphans).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});
