import { setImmediate as turn } from "node:timers/promises";
import { RpcTarget } from "capnweb";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openSession } from "../session/session.ts";
import { makeMemoryLink } from "./memory.ts";

const orphans: unknown[] = [];
const note = (reason: unknown) => void orphans.push(reason);
beforeEach(() => {
  orphans.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(() => void process.off("unhandledRejection", note));

class Main extends RpcTarget {
  readonly #waiting: PromiseWithResolvers<Main>;
  readonly #given: unknown[];

  constructor(waiting: PromiseWithResolvers<Main>, given: unknown[]) {
    super();
    this.#waiting = waiting;
    this.#given = given;
  }

  /** Not there until the test lets it be. */
  later(): Promise<Main> {
    return this.#waiting.promise;
  }

  async fail(): Promise<never> {
    throw new Error("expected by its caller");
  }

  async keep(...args: unknown[]): Promise<string> {
    this.#given.push(args);
    await this.#waiting.promise;
    return "kept";
  }
}

/** What a peer says to a session of ours, and what it is answered in the end. */
async function answersTo(...messages: unknown[]): Promise<unknown[]> {
  const { left: near, right: far } = makeMemoryLink({ framing: "capnweb" });
  const waiting = Promise.withResolvers<Main>();
  const main = new Main(waiting, []);
  const answers: unknown[] = [];
  near.listen({ frame: (text) => void answers.push(JSON.parse(text)), closed: () => {} });
  const session = openSession(far, { localMain: main, onHiddenError: () => {} });
  for (const message of messages) near.send(JSON.stringify(message));
  for (let turns = 0; turns < 10; turns += 1) await turn();
  expect(orphans).toEqual([]);
  waiting.resolve(new Main(waiting, []));
  for (let turns = 0; turns < 10; turns += 1) await turn();
  near.close(1000, "");
  await session.closed;
  await turn();
  return answers;
}

const call = (on: number, method: string, ...args: unknown[]) => ["push", ["pipeline", on, [method], args]];

describe("a result that fails while a call whose argument it is was not delivered", () => {
  test.each<[string, unknown[]]>([
    ["as a value, of a call on a result that is not there", call(1, "keep", ["pipeline", 2, []])],
    ["as a part of it", call(1, "keep", { deep: [[["pipeline", 2, ["x"]]]] })],
    ["as a capability", call(1, "keep", ["import", 2])],
    ["as a capability beside a value that is not there", call(0, "keep", ["pipeline", 1, []], ["import", 2])],
    ["as a capability that is kept by a call under way", call(0, "keep", ["import", 2])],
    ["in a call on a call", call(3, "keep", ["pipeline", 2, []], ["import", 2])],
  ])("is no unhandled rejection: %s", async (_, message) => {
    await answersTo(call(0, "later"), call(0, "fail"), call(1, "later"), message);
    expect(orphans).toEqual([]);
  });

  test("fails that call, for whoever asks for its result", async () => {
    const answers = await answersTo(call(0, "later"), call(0, "fail"), call(1, "keep", ["pipeline", 2, []]), [
      "pull",
      3,
    ]);
    expect(answers).toEqual([["reject", 3, ["error", "internal", "Internal error", null, expect.any(Object)]]]);
    expect(orphans).toEqual([]);
  });
});
