/** One text of a source file, and what stands in its place when a defence is off. */
export interface Edit {
  readonly file: string;
  readonly cut: string;
  readonly put: string;
}

/** How the test of a row is made to fail; `npm run attacks -- --without-defences` does it, in a copy. */
export interface Defence {
  readonly row: string;
  /** Words from the test's name; default the row's id. */
  readonly test?: string;
  readonly file: string;
  /** What is missing then. */
  readonly off: string;
  readonly edits: readonly Edit[];
}

export const edit = (file: string, cut: string, put = ""): Edit => ({ file, cut, put });

export const boundary = "kit/src/capability/boundary.ts";
export const messages = "kit/src/rpc/messages.ts";
export const reader = "kit/src/rpc/reader.ts";
export const inbox = "kit/src/rpc/inbox.ts";
export const tables = "kit/src/rpc/tables.ts";
export const contract = "kit/src/capability/contract.ts";
export const introductions = "kit/src/introduction/introduction.ts";
export const serve = "kit/src/server/serve.ts";
export const listener = "kit/src/server/listener.ts";

export const noSchema = edit(contract, "      check(value, isPlain === true);\n");
/** The Order Service as the specification has it: whatever comes as a user is asked. */
export const believing = [
  edit(introductions, "if (!isIntroduction(value)) throw", 'if (value === "never") throw'),
  edit(
    "kit/src/introduction/introduce.ts",
    "  const gifter = gifterOf(introduction);\n",
    '  const live = [introduction, ...Object.values(introduction ?? {})].find((it) => typeof it === "function");\n' +
      "  if (live) return (live as unknown as RpcStub<T>).dup() as unknown as RpcPromise<T>;\n" +
      "  const gifter = gifterOf(introduction);\n",
  ),
];
/** A refused part of a message is let through as nothing. */
export const nothingRefused = [
  edit(reader, "    this.#refusal ??= why();\n"),
  edit(messages, 'throw notOffered("a value in place of a call");', "answer.ok(undefined);\n      return;"),
];
export const anyRelease = [
  edit(messages, "if (!Number.isSafeInteger(subject) || subject === 0)", 'if (subject === "never")'),
  edit(messages, "if (count !== 1) throw", "if (count === undefined) throw"),
  edit(
    inbox,
    'if (typeof subject === "number")',
    'if (subject === 0) return;\n        if (typeof subject === "number")',
  ),
];
export const noDeadlines = [
  edit("kit/src/rpc/answer.ts", "    else this.fail(error);\n"),
  edit("kit/src/rpc/question.ts", "    this.fail(deadlineExceeded(this.context.traceId));\n"),
];
export const anyOrigin = edit(
  "kit/src/server/admission.ts",
  "if (origin !== undefined && !isListedOrigin(origin)) {",
  "if (origin === undefined && isListedOrigin(origin)) {",
);
