import type { Mutant } from "./mutant.ts";

/** Our own Cap'n Web: calls, results, and servers of other makes. */
export const mutantsOfCore: readonly Mutant[] = [
  {
    promise: "core: a result that something names is not streamed away",
    file: "kit/src/rpc/outbox.ts",
    cut: "call.isPulled && !call.isNamed;",
    put: "call.isPulled;",
    test: "kit/src/rpc/session.test.ts",
  },
  {
    promise: "core: a stream is sent to none that does not know it",
    file: "kit/src/rpc/outbox.ts",
    cut: 'const asStream = this.#framing === "flotilla.v2" &&',
    put: "const asStream =",
    test: "kit/src/rpc/session.test.ts",
  },
  {
    promise: "core: what was streamed is not released again",
    file: "kit/src/rpc/session.ts",
    cut: "if (!question.isStream) this.#say(",
    put: "this.#say(",
    test: "kit/src/rpc/session.test.ts",
  },
  {
    promise: "core: what is called on a streamed result waits for it",
    file: "kit/src/rpc/question.ts",
    cut: "return !this.isSettled && !this.isStream;",
    put: "return !this.isSettled;",
    test: "kit/src/rpc/streams.test.ts",
  },
  {
    promise: "core: a call that waits for its arguments ends at its deadline",
    file: "kit/src/rpc/delayed.ts",
    cut: "      this.#alarms.set(this);\n",
    put: "",
    test: "kit/src/introduction/introduction.test.ts",
  },
  {
    promise: "core: a call that waits for its arguments holds them",
    file: "kit/src/rpc/delayed.ts",
    cut: "const held = holdArguments(args, stubs);",
    put: "const held = args;",
    test: "kit/src/rpc/delayed.test.ts",
  },
  {
    promise: "core: a server that takes whatever comes first is spoken to as a stock one",
    file: "kit/src/transport/channel.ts",
    cut: '["capnweb", ...ours];',
    put: '[...ours, "capnweb"];',
    test: "kit/src/session/stock-servers.test.ts",
  },
  {
    promise: "core: a server that chooses no subprotocol is asked again without an offer",
    file: "kit/src/session/connect.ts",
    cut: "cause.message === noneChosen && !self;",
    put: "cause.message === href;",
    test: "kit/src/session/stock-servers.test.ts",
  },
  {
    promise: "core: a page offers nothing at every second attempt, until one succeeds",
    file: "kit/src/browser/connect.ts",
    cut: "      if (!isSure) offers = !offers;\n",
    put: "",
    test: "kit/src/session/stock-servers.test.ts",
  },
];
