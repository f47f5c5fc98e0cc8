import type { Prompt } from "./prompt.ts";
import type { Shop } from "./shop.ts";
import type { Terminal } from "./terminal.ts";

/** What a command is given. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly globals: GlobalOptions;
  readonly terminal: Terminal;
  readonly prompt: Prompt;
  /** The gateway, and this profile's login with it. */
  readonly shop: Shop;
  /** Aborted when the person presses Ctrl+C. */
  readonly signal: AbortSignal;
  /** Every command, for those that speak of them. */
  readonly allCommands: () => Promise<readonly CommandSpec[]>;
}

export interface GlobalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  /** False for `--no-input`. */
  readonly input: boolean;
  readonly yes: boolean;
  readonly timeout?: string;
  readonly profile?: string;
  readonly gateway?: string;
}

/** What was typed behind a command's name. A variadic argument is a list. */
export interface Input {
  readonly args: readonly (string | readonly string[] | undefined)[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

export interface OptionSpec {
  /** As commander has them: `--email <address>`, `-n, --limit <count>`, `--details`. */
  readonly flags: string;
  readonly summary: string;
  readonly choices?: readonly string[];
  readonly isRequired?: boolean;
}

/** One command, or a group of them: what is shown of it, what it takes, what it does. */
export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** More about it, for its own help. */
  readonly about?: string;
  /** `<required>`, `[optional]`, `<several...>`, each with what it is. */
  readonly args?: readonly (readonly [term: string, summary: string, choices?: readonly string[]])[];
  readonly options?: readonly OptionSpec[];
  /** Complete command lines; each group and each command has one at least. */
  readonly examples: readonly string[];
  /** Methods of the contracts that it calls, such as `ApiGateway.listOrders`; tests hold it to that. */
  readonly calls?: readonly string[];
  readonly commands?: readonly CommandSpec[];
  /** What to do about an error, by its code or its reason, in one line. */
  readonly advice?: Readonly<Record<string, string>>;
  /** It handles Ctrl+C by itself. */
  readonly handlesSignals?: boolean;
  /** Resolves with an exit code that is not 0, or with nothing. */
  run?(context: Context, input: Input): Promise<number | undefined>;
}

/** A command that is loaded when it is asked for. */
export interface Entry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandSpec>;
}
