import { once } from "node:events";
import { type REPLServer, Recoverable, type ReplOptions, start } from "node:repl";
import { Writable } from "node:stream";
import { inspect, types } from "node:util";
import { toCliError } from "../cli-error.ts";
import type { Context } from "../command.ts";
import type { Input } from "../prompt.ts";
import { lines as below, jsonText, say } from "../text.ts";
import { helpText } from "./help.ts";
import type { Holdings } from "./holdings.ts";
import { makeLines } from "./lines.ts";
import type { Logins } from "./logins.ts";
import { capsOf, whyOf } from "./why.ts";

export interface Conversation {
  readonly context: Context;
  readonly input: Input;
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly holdings: Holdings;
  readonly logins: Logins;
}

/** Resolves, when whoever talks has ended it, with how many lines of a program failed. */
export async function converse(conversation: Conversation): Promise<number> {
  const { input, output } = conversation;
  return input.isTTY && output.isTTY ? await talkTo(conversation) : await obey(conversation);
}

/**
 * Nothing of what was typed is written to a file, and nothing is tried out while it is typed. The objects of a context of
 * its own would be no plain data to the kit.
 */
const always = { useGlobal: true, ignoreUndefined: true, preview: false } as const satisfies ReplOptions;

/** A person, who sees for themselves what failed. */
async function talkTo(conversation: Conversation): Promise<0> {
  const { context, input, output, logins } = conversation;
  const { shop, terminal } = context;
  const login = shop.login();
  const who = login ? say`as ${login.username}` : 'not logged in: try await login("alice")';
  output.write(String(say`Connected to ${shop.url} (${who}). help() says what there is, .exit ends it.\n`));
  const colors = String(terminal.paint("dim", ".")) !== ".";
  const writer = (value: unknown) => textOf(value, { conversation, colors });
  const prompt = String(terminal.paint("cyan", "flotilla> "));
  const server = start({ ...always, input, output, writer, prompt, terminal: true, breakEvalOnSigint: true });
  lend(server, conversation);
  const evaluate = server.eval;
  Object.assign(server, {
    eval: (...args: Parameters<REPLServer["eval"]>) => {
      void logins.keepFresh().then(() => evaluate.apply(server, args));
    },
  });
  await endOf(server);
  return 0;
}

/** A program: line after line, each when the one before has its answer. What fails goes to stderr. */
async function obey(conversation: Conversation): Promise<number> {
  const { context, input, output, logins } = conversation;
  const lines = makeLines(input as AsyncIterable<Buffer>);
  let failures = 0;
  let isUnanswered = false;
  let isSaid = false;
  const writer = (value: unknown) => {
    if (!isUnanswered) return textOf(value, { conversation, colors: false });
    // The server shows what a line has thrown before it says that the line is done.
    failures += 1;
    isSaid = true;
    if (context.terminal.json) context.terminal.error(toCliError(value));
    else process.stderr.write(`${textOf(value, { conversation, colors: false })}\n`);
    // Replaced by what was said.
    return "failed";
  };
  const answers = new Writable({
    decodeStrings: false,
    write(text: string | Buffer, _encoding, done) {
      if (!isSaid) output.write(text);
      isSaid = false;
      done();
    },
  });
  const server = start({ ...always, input: lines.stream, output: answers, writer, prompt: "", terminal: false });
  lend(server, conversation);
  const evaluate = server.eval;
  Object.assign(server, {
    eval: (...[code, global, file, done]: Parameters<REPLServer["eval"]>) => {
      isUnanswered = true;
      const answered: typeof done = (error, value) => {
        isUnanswered = error !== null && error !== undefined && !(error instanceof Recoverable);
        done(error, value);
      };
      void logins.keepFresh().then(() => evaluate.call(server, code, global, file, answered));
    },
    displayPrompt: () => {
      isUnanswered = false;
      lines.next();
    },
  });
  lines.next();
  await endOf(server);
  return failures;
}

async function endOf(server: REPLServer): Promise<void> {
  const close = () => server.close();
  for (const stop of ["SIGTERM", "SIGHUP"] as const) process.once(stop, close);
  await once(server, "exit");
  for (const stop of ["SIGTERM", "SIGHUP"] as const) process.off(stop, close);
}

interface TextOptions {
  readonly conversation: Conversation;
  readonly colors: boolean;
}

/** SECURITY: `inspect` escapes some control characters within strings and none within errors, so all of it is escaped again. */
function textOf(value: unknown, { conversation: { context, holdings }, colors }: TextOptions): string {
  if (context.terminal.json) return jsonText(holdings.isCapability(value) ? { capability: String(value) } : value);
  // Where a line of the person's own failed is no news to them.
  if (types.isNativeError(value) && !(inspect.custom in value))
    return String(say`${`${value.name}: ${value.message}`}`);
  const plain = inspect(value);
  const safe = String(below(plain.split("\n")));
  // A text that had to be escaped goes without colours, which are escapes too.
  return colors && safe === plain ? inspect(value, { colors }) : safe;
}

/** Names that the session has beside JavaScript's own. */
function lend(server: REPLServer, { holdings, logins, context }: Conversation): void {
  const names = {
    gateway: holdings.root,
    account: async () => {
      const gateway = holdings.root as { account(token: string): PromiseLike<unknown> };
      return await gateway.account(logins.token());
    },
    login: logins.open,
    why: (capability: unknown) => whyOf(holdings.known(capability), context.shop.url),
    caps: () => capsOf(holdings.all()),
    revoke: (capability: unknown) => {
      const count = holdings.release(capability);
      return { letGo: count };
    },
    help: () => helpText,
  };
  for (const [name, value] of Object.entries(names)) {
    Object.defineProperty(server.context, name, { value, enumerable: true, configurable: true, writable: true });
  }
  Object.defineProperty(server.context, "token", { get: logins.token, enumerable: true, configurable: true });
}
