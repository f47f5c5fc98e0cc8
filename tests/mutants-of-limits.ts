import type { Mutant } from "./mutants-of-users.ts";

/** Limits, and the guards that hold them: each bounds what one peer, one fault or one flood can cost. */
export const mutantsOfLimits: readonly Mutant[] = [
  {
    promise: "limits: a caller that was held back forgets old refusals before it decides on a call",
    file: "kit/src/session/throttle.ts",
    cut: "if (refused === 0) return;\n      forget();",
    put: "if (refused === 0) return;",
    test: "kit/src/session/throttle.test.ts",
  },
  {
    promise: "limits: the gateway asks about so many tokens at once",
    file: "shop/gateway/principals.ts",
    cut: " || asked.size >= askedMax",
    put: "",
    test: "shop/gateway/principals.test.ts",
  },
  {
    promise: "limits: while many deposits are undecided a call waits for its own",
    file: "shop/gateway/introductions.ts",
    cut: "if (!gift.isDeposited && undecided > undecidedMax) await gift.deposited();",
    put: "",
    test: "shop/gateway/introductions.test.ts",
  },
  {
    promise: "limits: so many logins are slowed at once",
    file: "shop/gateway/login-limits.ts",
    cut: "if (slowed >= slowedMax) throw tooMany(slowMsMax);",
    put: "",
    test: "shop/gateway/login-limits.test.ts",
  },
  {
    promise: "limits: one commit holds the event loop for so many units",
    file: "shop/service/sqlite-units.ts",
    cut: "const unitsPerCommitMax = 64;",
    put: "const unitsPerCommitMax = 1e9;",
    test: "shop/service/sqlite-units.test.ts",
  },
  {
    promise: "limits: an empty list of a foreign directory takes no instance away",
    file: "kit/src/session/members.ts",
    cut: "isClosed || urls.length === 0",
    put: "isClosed",
    test: "kit/src/session/directory.test.ts",
  },
];
