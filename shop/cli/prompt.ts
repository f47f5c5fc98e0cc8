import { addAbortSignal, type Readable } from "node:stream";
import type { ReadStream } from "node:tty";
import { CliError, usageError } from "./cli-error.ts";
import { Interrupted } from "./interrupted.ts";
import { emptyLine, typed } from "./secret-line.ts";
import { assertDecoded, makeStrictDecoder, strictText } from "./strict-text.ts";
import type { Stream } from "./terminal.ts";
import { type Printable, say } from "./text.ts";

/** Standard input; a terminal has raw mode. */
export type Input = Readable & Partial<Pick<ReadStream, "isTTY" | "setRawMode" | "isRaw">>;

export interface PromptOptions {
  readonly input: Input;
  /** Questions are asked on stderr, so that stdout has nothing but data. */
  readonly output: Stream;
  /** False for `--no-input`. */
  readonly isAllowed: boolean;
  /** True for `--yes`. */
  readonly isAgreed: boolean;
  readonly signal: AbortSignal;
}

export interface Prompt {
  /** One line. Throws a usage error that says `instead` when there is nobody to ask. */
  line(question: Printable, instead: string): Promise<string>;
  /** One line that is not shown. */
  secret(question: Printable, instead: string): Promise<string>;
  /** Throws unless the person agrees, now or by `--yes`. */
  agreement(question: Printable): Promise<void>;
  /** The first lines of standard input, which a program writes. Throws a usage error when there are fewer. */
  linesOfInput(count: number): Promise<readonly string[]>;
  /** All of it. */
  wholeInput(): Promise<string>;
}

/** More than any list of items or password. */
const inputBytesMax = 1024 * 1024;

export function makePrompt({ input, output, isAllowed, isAgreed, signal }: PromptOptions): Prompt {
  const prompt: Prompt = {
    async line(question, instead) {
      assertSomebody(instead);
      return await askLine(question);
    },
    async secret(question, instead) {
      assertSomebody(instead);
      return await askSecret(question, { input, output, signal });
    },
    async agreement(question) {
      if (isAgreed) return;
      assertSomebody("--yes to agree");
      const answer = await askLine(say`${question} [y/N] `);
      if (!/^y(es)?$/i.test(answer.trim())) throw new CliError("aborted", "Nothing was done", { reason: "not_agreed" });
    },
    async linesOfInput(count) {
      const lines = (await prompt.wholeInput()).split(/\r?\n/);
      // A line that is not ended counts when it has something in it.
      if (lines.at(-1) === "") lines.pop();
      if (lines.length < count) throw usageError(`Standard input has ${lines.length} of the ${count} lines expected`);
      return lines;
    },
    async wholeInput() {
      const chunks: Buffer[] = [];
      let bytes = 0;
      // An input that stays open would keep the process alive after Ctrl+C.
      addAbortSignal(signal, input);
      for await (const chunk of input as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > inputBytesMax) throw usageError(`Standard input has more than ${inputBytesMax} bytes`);
        chunks.push(chunk);
      }
      return strictText(Buffer.concat(chunks), "Standard input");
    },
  };
  return prompt;

  function assertSomebody(instead: string): void {
    if (isAllowed && input.isTTY) return;
    const why = isAllowed ? "standard input is no terminal" : "--no-input was given";
    throw usageError(`This has to ask, and ${why}`, `Use ${instead}`);
  }

  async function askLine(question: Printable): Promise<string> {
    const { createInterface } = await import("node:readline/promises");
    const lines = createInterface({ input, output: output as NodeJS.WritableStream, terminal: true, historySize: 0 });
    try {
      const closed = new Promise<never>((_, reject) => {
        lines.once("SIGINT", () => {
          output.write("\n");
          reject(new Interrupted("SIGINT"));
        });
        lines.once("close", () => reject(new CliError("aborted", "Nothing was done", { reason: "not_agreed" })));
      });
      const answer = await Promise.race([lines.question(String(question), { signal }), closed]);
      assertDecoded(answer, "The answer");
      return answer;
    } finally {
      lines.close();
    }
  }
}

/** Asks for a line that is not shown, on a terminal, which is as before when this settles. */
export async function askSecret(
  question: Printable,
  { input, output, signal }: Pick<PromptOptions, "input" | "output" | "signal">,
): Promise<string> {
  const decode = makeStrictDecoder("What was typed");
  const answer = Promise.withResolvers<string>();
  const wasRaw = input.isRaw === true;
  let line = emptyLine;
  const onData = (keys: Buffer | string) => {
    try {
      line = typed(line, typeof keys === "string" ? keys : decode(keys));
    } catch (error) {
      answer.reject(error);
    }
    if (line.state === "done") answer.resolve(line.text);
    else if (line.state === "interrupted") answer.reject(new Interrupted("SIGINT"));
    else if (line.state === "ended")
      answer.reject(new CliError("aborted", "Nothing was done", { reason: "not_agreed" }));
  };
  const onAbort = () => answer.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  input.setRawMode?.(true);
  input.on("data", onData);
  input.resume();
  output.write(String(question));
  try {
    return await answer.promise;
  } finally {
    output.write("\n");
    input.off("data", onData);
    input.setRawMode?.(wasRaw);
    if (!wasRaw) input.pause();
    signal.removeEventListener("abort", onAbort);
  }
}
