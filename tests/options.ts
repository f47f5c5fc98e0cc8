// The command lines of the checks that run outside of `npm test`.
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** The command line is wrong. The message says where, and what is known. */
export class UsageError extends Error {}

interface CommandLine<O extends ParseArgsOptionsConfig, T> {
  /** Printed by `--help` and after an error. */
  readonly usage: string;
  readonly options: O;
  /** Whether words that are no options are taken. */
  readonly takesWords?: boolean;
  /** Turns what was given into what the check needs. @throws UsageError for a value that cannot be. */
  read(values: Values<O>, words: readonly string[]): T;
}

type Values<O extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: O }>>["values"];

/**
 * Reads the command line of this process. `--help` prints the usage and ends the process with 0; what is not known is
 * named on stderr and ends it with 2, so that a typing error never passes for a check that found nothing.
 */
export function readCommandLine<O extends ParseArgsOptionsConfig, T>(line: CommandLine<O, T>): T {
  const usage = `${line.usage.trimEnd()}\n`;
  try {
    const options = { ...line.options, help: { type: "boolean", short: "h" } } as const;
    const { values, positionals } = parsed(options, line.takesWords ?? false);
    if (values.help !== true) return line.read(values as Values<O>, positionals);
    process.stdout.write(usage);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

function parsed(options: ParseArgsOptionsConfig, allowPositionals: boolean) {
  try {
    return parseArgs({ options, allowPositionals });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The member of `known` that is called `text`. @param what names the option in the error, such as `--target`. */
export function oneOf<T extends string>(known: readonly T[], what: string, text: string): T {
  const member = known.find((it) => it === text);
  if (member !== undefined) return member;
  throw new UsageError(`${what}: there is no ${JSON.stringify(text)}; known are ${known.join(", ")}`);
}

/** The number that `text` says, at least `least`. @param what names the option in the error. */
export function numberFrom(least: number, what: string, text: string, { isWhole = true } = {}): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= least && Number.isFinite(value) && (!isWhole || Number.isInteger(value))) return value;
  const expected = `${isWhole ? "a whole number" : "a number"} from ${least} on`;
  throw new UsageError(`${what}: expected ${expected}, got ${JSON.stringify(text)}`);
}
