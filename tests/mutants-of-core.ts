import type { Mutant } from "./mutant.ts";

/** Our own Cap'n Web: servers of other makes. */
export const mutantsOfCore: readonly Mutant[] = [
  {
    promise: "core: a server that takes whatever comes first is spoken to as a stock one",
    file: "kit/src/transport/channel.ts",
    cut: '["capnweb", "flotilla.v1"];',
    put: '["flotilla.v1", "capnweb"];',
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
    cut: "      if (!isOurs) offers = !offers;\n",
    put: "",
    test: "kit/src/session/stock-servers.test.ts",
  },
];
