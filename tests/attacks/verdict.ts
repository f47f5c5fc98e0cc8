import { expect } from "vitest";
import { type Door, errorOf, type Message, type Outcome } from "./hostile-peer.ts";

/** The code with which call `id` was refused, by its answer or with the whole session; undefined if it succeeded. */
export function refusalOf({ heard, ended }: Outcome, id = 1): string | undefined {
  const answer = heard.find(([kind, of]) => (kind === "resolve" || kind === "reject") && of === id);
  if (!answer) return ended ?? "nothing was said";
  return errorOf(answer)?.code;
}

/** The value of call `id`; throws for a refusal. */
export function resultOf(outcome: Outcome, id = 1): unknown {
  const answer = outcome.heard.find(([kind, of]) => kind === "resolve" && of === id);
  if (!answer) throw new Error(`call ${id} was refused: ${JSON.stringify(outcome).slice(0, 500)}`);
  return answer[2];
}

/** What a service says when it makes something of the peer's work for it. */
const operations: ReadonlySet<unknown> = new Set(["push", "pull", "stream", "pipe"]);

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
}

/** At each door `lines` are refused with a code of `codes`, and nothing is asked of the peer. */
export async function expectRefused(
  doors: readonly Door[],
  lines: readonly (string | Message)[],
  { codes, call = 1 }: Refusal,
): Promise<void> {
  await Promise.all(
    doors.map(async (door) => {
      const outcome = await door.exchange(lines);
      const where = `${door.name}: ${JSON.stringify(lines).slice(0, 300)}`;
      expect(codes, `${where} got ${refusalOf(outcome, call)}`).toContain(refusalOf(outcome, call));
      expectNothingAsked(outcome, where);
    }),
  );
}
