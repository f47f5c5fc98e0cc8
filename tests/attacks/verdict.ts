import { expect } from "vitest";
import { takesNumber } from "./grammar.ts";
import { callOf, type Door, errorOf, type Message, type Outcome } from "./hostile-peer.ts";

/** The code with which call `id` was refused, by its answer or with the whole session; undefined if it succeeded. */
export function refusalOf(outcome: Outcome, id = 1): string | undefined {
  const answer = answerTo(outcome, id);
  if (!answer) return outcome.ended ?? "nothing was said";
  return errorOf(answer)?.code;
}

function answerTo({ heard }: Outcome, id: number): Message | undefined {
  return heard.find(([kind, of]) => (kind === "resolve" || kind === "reject") && of === id);
}

/** The value of call `id`; throws for a refusal. */
export function resultOf(outcome: Outcome, id = 1): unknown {
  const answer = outcome.heard.find(([kind, of]) => kind === "resolve" && of === id);
  if (!answer) throw new Error(`call ${id} was refused: ${JSON.stringify(outcome).slice(0, 500)}`);
  return answer[2];
}

/** What a service says when it makes something of the peer's work for it. */
const operations: ReadonlySet<unknown> = new Set(["push", "call", "pull", "stream", "pipe"]);

/** Nothing that the peer sent was called, read, or sent on: whoever is refused is not asked anything. */
export function expectNothingAsked({ heard }: Pick<Outcome, "heard">, where: string): void {
  expect(
    heard.filter(([operation]) => operations.has(operation)),
    where,
  ).toEqual([]);
  expect(JSON.stringify(heard), where).not.toContain('"remap"');
}

export interface Refusal {
  /** Any of these will do. */
  readonly codes: readonly string[];
  /** Which of the calls; default the first. */
  readonly call?: number;
  /** The session then `lives` and answers one more call, or it `ends` with the code. Default: either. */
  readonly session?: "lives" | "ends";
  /** In the message of the call's error. */
  readonly says?: string;
}

/** A message that is well-formed and not offered fails its own call. */
export const notOffered = { codes: ["unimplemented"], session: "lives", says: "Not offered here" } as const;
/** So does a message above a limit of its own. */
export const exhausted = { codes: ["resource_exhausted"], session: "lives" } as const;
/** A message that is no Cap'n Web ends its session. */
export const violation = { codes: ["invalid_argument"], session: "ends" } as const;

/** At each door `lines` are refused with a code of `codes`, and nothing is asked of the peer. */
export async function expectRefused(
  doors: readonly Door[],
  lines: readonly (string | Message)[],
  { codes, call = 1, session, says = "" }: Refusal,
): Promise<void> {
  const further = lines.filter((line) => takesNumber(operationOf(line))).length + 1;
  const sent = session === "lives" ? [...lines, ...callOf("listUsers", ["x"], further)] : lines;
  await Promise.all(
    doors.map(async (door) => {
      const outcome = await door.exchange(sent);
      const code = refusalOf(outcome, call);
      const where = `${door.name}: ${JSON.stringify(lines).slice(0, 300)} got ${code}`;
      expect(codes, where).toContain(code);
      expectNothingAsked(outcome, where);
      if (session === "lives") {
        expect(outcome.ended, where).toBeUndefined();
        expect(answerTo(outcome, further), where).toBeDefined();
      } else if (session === "ends") expect(outcome.ended, where).toBe(code);
      if (says !== "") expect(errorOf(answerTo(outcome, call))?.message, where).toContain(says);
    }),
  );
}

function operationOf(line: string | Message): string | undefined {
  return /^\["(\w+)"/.exec(typeof line === "string" ? line : JSON.stringify(line))?.[1];
}

/** At each door a `message` that is no call changes nothing: one beside it is answered as it is without. */
export async function expectNoEffect(
  doors: readonly Door[],
  message: Message,
  call = callOf("listUsers", ["x"]),
): Promise<void> {
  await Promise.all(
    doors.map(async (door) => {
      const without = await door.exchange(call);
      const outcome = await door.exchange([message, ...call]);
      const where = `${door.name}: ${JSON.stringify(message).slice(0, 300)}`;
      expect(outcome.ended, where).toBeUndefined();
      expect(refusalOf(outcome), where).toBe(refusalOf(without));
      expectNothingAsked(outcome, where);
    }),
  );
}
