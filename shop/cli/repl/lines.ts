import { Readable } from "node:stream";
import { makeStrictDecoder } from "../strict-text.ts";

/**
 * Input for a session that a program writes: the next line is handed out when the one before was worked off, because the
 * session would begin it while that waits for an answer.
 */
export interface Lines {
  readonly stream: Readable;
  next(): void;
}

export function makeLines(input: AsyncIterable<Buffer | string>): Lines {
  const stream = new Readable({ read: () => undefined });
  const lines = readLines(input);
  let isAsked = false;
  return {
    stream,
    next() {
      if (isAsked) return;
      isAsked = true;
      void lines.next().then(
        ({ value, done }) => {
          isAsked = false;
          stream.push(done ? null : `${value}\n`);
        },
        (error: Error) => stream.destroy(error),
      );
    },
  };
}

/** Longer lines are no program. Characters. */
const lineCharsMax = 1024 * 1024;

async function* readLines(input: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  const decode = makeStrictDecoder("Standard input");
  let rest = "";
  for await (const chunk of input) {
    rest += typeof chunk === "string" ? chunk : decode(chunk);
    const parts = rest.split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > lineCharsMax) throw new RangeError("A line of the input is too long");
    yield* parts;
  }
  rest += decode();
  if (rest !== "") yield rest;
}
