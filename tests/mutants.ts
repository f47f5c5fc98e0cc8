// `npm run mutants`: takes out, one at a time and in a copy, the mechanism behind each promise of ARCHITECTURE.md and
// SECURITY.md, and looks whether the test that is named there fails. Takes some minutes, so it is not part of `npm test`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mutantsOfFaults } from "./mutants-of-faults.ts";
import { mutantsOfLimits } from "./mutants-of-limits.ts";
import { type Mutant, mutantsOfUsers } from "./mutants-of-users.ts";
import { readCommandLine, UsageError } from "./options.ts";
import { copyRepository } from "./repository-copy.ts";

const introductions = "tests/forgery.test.ts";

export const mutants: readonly Mutant[] = [
  ...mutantsOfUsers,
  ...mutantsOfFaults,
  ...mutantsOfLimits,
  {
    promise: "I1 an order is acknowledged after it is on disk",
    file: "shop/service/sqlite-units.ts",
    cut: 'db.exec("COMMIT");',
    put: 'setImmediate(() => db.isTransaction && db.exec("COMMIT"));',
    test: "shop/orders/store-kill.slow.test.ts",
  },
  {
    promise: "I2 a key that was used gives the same order again",
    file: "shop/orders/add-order.ts",
    cut: "if (earlier) return {",
    put: "if (earlier === null) return {",
    test: "shop/orders/store.test.ts",
  },
  {
    promise: "I1 on PostgreSQL what may have been committed is not begun anew",
    file: "shop/service/postgres.ts",
    cut: " || (error.isUncertain && !isRepeatable)",
    put: "",
    test: "shop/service/postgres-failures.test.ts",
  },
  {
    promise: "I2 on PostgreSQL a key has one order",
    file: "shop/orders/add-order.ts",
    cut: "          where not exists (select 1 from earlier)\n",
    put: "",
    test: "shop/orders/store.test.ts",
  },
  {
    promise: "units on PostgreSQL have the outcome of one after the other",
    file: "shop/service/postgres.ts",
    cut: '"BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE migrations IN SHARE ROW EXCLUSIVE MODE"',
    put: '"BEGIN"',
    test: "shop/users/instances.test.ts",
  },
  {
    promise: "I5 a log-out at another instance counts from the next call on",
    file: "shop/users/account-target.ts",
    cut: "    const { store, clock } = this.#deps;\n    await standing(this.#ask);\n",
    put: "    const { store, clock } = this.#deps;\n",
    test: "shop/users/instances.test.ts",
  },
  {
    promise: "I3 arguments are checked before the method runs",
    file: "kit/src/capability/boundary.ts",
    cut: "run(call, receiveArguments(call, borrowed))",
    put: "run(call, [...call.args])",
    test: "kit/src/capability/arguments.test.ts",
  },
  {
    promise: "I3 a contract is all there is: an own method of the implementation is not callable",
    file: "kit/src/capability/boundary.ts",
    cut: "  return new boundary(erased,",
    put: "  if (!(implementation instanceof Function)) Object.setPrototypeOf(boundary.prototype, Object.assign(Object.create(RpcTarget.prototype), Object.fromEntries(Object.getOwnPropertyNames(Object.getPrototypeOf(implementation)).filter((n) => n !== 'constructor').map((n) => [n, () => 1]))));\n  return new boundary(erased,",
    test: "kit/src/capability/boundary.test.ts",
  },
  {
    promise: "I3 what an id gives cannot be introduced",
    file: "shop/contracts/users.ts",
    cut: "returns: UserContract }",
    put: "returns: introducible(UserContract) }",
    test: "shop/users/service.test.ts",
  },
  {
    promise: "I4 an introduction is good from its gifter only",
    file: "kit/src/introduction/deposits.ts",
    cut: "&& deposit.gifter === claim.gifter",
    put: "",
    test: introductions,
  },
  {
    promise: "I4 an introduction is good for its recipient only",
    file: "kit/src/introduction/deposits.ts",
    cut: "deposit.offer.recipient === asService(claim.peer).name &&",
    put: "",
    test: introductions,
  },
  {
    promise: "I4 only what came over a session is an introduction",
    file: "kit/src/introduction/introduction.ts",
    cut: "if (!isIntroduction(value)) throw refused(",
    put: "if (!isIntroduction(value)) return value;\n      if (value === null) throw refused(",
    test: introductions,
  },
  {
    promise: "I4 an introduction ends with its time",
    file: "kit/src/introduction/deposits.ts",
    cut: "clock.after(lifetimeMs, () => end(nonce, deposit))",
    put: "() => {}",
    test: "kit/src/introduction/introduction.test.ts",
  },
  {
    promise: "I5 a capability ends with its login",
    file: "kit/src/capability/conditions.ts",
    cut: "clock.now() >= atMs ?",
    put: "clock.now() < 0 ?",
    test: "kit/src/capability/boundary.test.ts",
  },
  {
    promise: "I5 a revoked capability begins no call",
    file: "kit/src/capability/revoker.ts",
    cut: "refusal: () => (revoker.isRevoked ?",
    put: "refusal: () => (revoker === undefined ?",
    test: "kit/src/capability/revoker.test.ts",
  },
  {
    promise: "I5 a revoked capability is not withdrawn",
    file: "kit/src/introduction/deposits.ts",
    cut: "    deposit.offer.assertHolds();\n",
    put: "",
    test: "kit/src/introduction/revocation.test.ts",
  },
  {
    promise: "I5 a revoker ends with its parent",
    file: "kit/src/capability/revoker.ts",
    cut: "isRevokedItself || (parent?.isRevoked ?? false)",
    put: "isRevokedItself",
    test: "kit/src/capability/revoker.test.ts",
  },
  {
    promise: "I5 what was obtained through a membrane ends with it",
    file: "kit/src/capability/attenuate.ts",
    cut: "  return makeCaretaker(result, lasting, []);",
    put: "  return makeCaretaker(result, { ...lasting, conditions: [] }, []);",
    test: "kit/src/introduction/revocation.test.ts",
  },
  {
    promise: "I5 attenuating what is attenuated only narrows it",
    file: "kit/src/capability/conditions.ts",
    cut: "guard = guard.caretaker && guards.get(guard.caretaker.target)",
    put: "guard = undefined",
    test: "kit/src/capability/attenuate.property.test.ts",
  },
  {
    promise: "I5 calls that begin are counted",
    file: "kit/src/capability/boundary.ts",
    cut: "  admit(implementation, name, env.clock);\n",
    put: "",
    test: "kit/src/capability/attenuate.property.test.ts",
  },
  {
    promise: "I6 an error leaves with five fields",
    file: "kit/src/session/redact.ts",
    cut: "return wireError(ours);",
    put: "return error;",
    test: "kit/src/session/redact.test.ts",
  },
  {
    promise: "I7 a promise of the sender's is refused",
    file: "kit/src/transport/check.ts",
    cut: `throw violation("promises of the sender's are not accepted");`,
    put: "return nothing;",
    test: "kit/src/transport/check.test.ts",
  },
  {
    promise: "I7 programs and streams of the sender's are refused",
    file: "kit/src/transport/check.ts",
    cut: 'throw violation("unknown or disabled expression");',
    put: "return nothing;",
    test: "kit/src/transport/check.test.ts",
  },
  {
    promise: "I7 a flood ends its own session",
    file: "kit/src/transport/transport.ts",
    cut: "if (!rate.take(clock.monotonicMs(), lines.length)) {",
    put: "if (rate === undefined) {",
    test: "kit/src/session/edge.test.ts",
  },
  {
    promise: "I8 a batch is torn down",
    file: "kit/src/session/batch.ts",
    cut: "session.close(batchEnded);",
    put: "",
    test: "kit/src/session/batch.test.ts",
  },
  {
    promise: "I8 what was lent and is not used is given back",
    file: "kit/src/introduction/loans.ts",
    cut: "if (leftMs <= 0) drop(key);",
    put: "if (leftMs <= 0) continue;",
    test: "kit/src/introduction/loans.test.ts",
  },
  {
    promise: "I5 a loan ends with its introduction",
    file: "kit/src/introduction/deposits.ts",
    cut: "asLoan ? whileDeposited : undefined",
    put: "asLoan && !whileDeposited ? whileDeposited : undefined",
    test: "kit/src/introduction/loans.test.ts",
  },
  {
    promise: "a loan is of use to who was introduced by the same gifter only",
    file: "kit/src/introduction/loans.ts",
    cut: "{gifter} $",
    put: '{""} $',
    test: "kit/src/introduction/loans.test.ts",
  },
  {
    promise: "I9 the caller's side ends a call that is not answered",
    file: "kit/src/transport/deadlines.ts",
    cut: "deliver(deadlineReject(id, context.traceId));",
    put: "void deadlineReject;",
    test: "kit/src/transport/deadlines.test.ts",
  },
  {
    promise: "I9 the callee's side ends a method that hangs",
    file: "kit/src/capability/boundary.ts",
    cut: "fail(deadlineExceeded());",
    put: "",
    test: "kit/src/capability/boundary.test.ts",
  },
  {
    promise: "context is set between the reading of a message and its dispatch",
    file: "kit/src/transport/envelope.ts",
    cut: "    enterContext(this.#context);\n",
    put: "",
    test: "kit/src/transport/envelope.test.ts",
  },
  {
    promise: "services answer nobody without a key",
    file: "shop/orders/service.ts",
    cut: 'if (peer.kind !== "service" || peer.name !== "gateway") return undefined;',
    put: "",
    test: "shop/orders/service.test.ts",
  },
  {
    promise: "a hello is signed",
    file: "kit/src/session/hello.ts",
    cut: "verify(null, signed(purpose, payload), candidate, bytes)",
    put: "verify !== undefined && signed(purpose, payload) && candidate && bytes",
    test: "kit/src/session/hello.test.ts",
  },
  {
    promise: "a key that was revoked is trusted no more",
    file: "kit/src/session/trust.ts",
    cut: ".filter((key) => !isRevoked(lines, key))",
    put: "",
    test: "kit/src/session/keys.test.ts",
  },
  {
    promise: "a session ends with the key that opened it",
    file: "kit/src/session/key-watch.ts",
    cut: "if (isTrusted()) {",
    put: "if (isTrusted() || cancel !== undefined) {",
    test: "kit/src/session/keys.test.ts",
  },
  {
    promise: "services call nobody without a key",
    file: "kit/src/session/connect.ts",
    cut: "if (!self || !hello) return;",
    put: "return;",
    test: "kit/src/session/authentication.test.ts",
  },
  {
    promise: "fairness: the calls of a session wait for each other",
    file: "kit/src/base/turns.ts",
    cut: "member.held < turnsPerSessionMax && ",
    put: "",
    test: "kit/src/session/fairness.test.ts",
  },
  {
    promise: "fairness: sessions take turns",
    file: "kit/src/base/turns.ts",
    cut: "if (member.waiting.length > 0) queue.push(member);",
    put: "if (member.waiting.length > 0) queue.unshift(member);",
    test: "kit/src/base/turns.test.ts",
  },
  {
    promise: "fairness: what waits for a turn goes with its session",
    file: "kit/src/session/address.ts",
    cut: "        turns.end();\n",
    put: "",
    test: "kit/src/session/fairness.test.ts",
  },
  {
    promise: "fairness: a slow call gives its turn away",
    file: "kit/src/base/turns.ts",
    cut: "      takeFromTheSlow();\n",
    put: "",
    test: "kit/src/session/fairness.test.ts",
  },
  {
    promise: "fairness: one flood of messages does not hold the event loop",
    file: "kit/src/transport/pace.ts",
    cut: "if (left > 0 && queue.length === 0) {",
    put: "if (left !== undefined) {",
    test: "kit/src/transport/pace.test.ts",
  },
  {
    promise: "fairness: an address with many sessions does not delay another's messages",
    file: "kit/src/transport/pace.ts",
    cut: "if (readers.length === 0) queue.push(readers);",
    put: "queue.push(readers);",
    test: "kit/src/transport/pace.test.ts",
  },
  {
    promise: "fairness: a user's sessions whose token has ended keep nobody out",
    file: "shop/gateway/user-sessions.ts",
    cut: "if (!hasPlace(userId, session)) await review(userId);",
    put: "",
    test: "shop/gateway/gate.test.ts",
  },
  {
    promise: "fairness: a user holds so many capabilities and no more",
    file: "shop/gateway/user-capabilities.ts",
    cut: "if (held >= capabilitiesMax) {",
    put: "if (held < 0) {",
    test: "shop/gateway/gate.test.ts",
  },
  {
    promise: "fairness: one capability too many fails its call, and not the session",
    file: "kit/src/base/holdings.ts",
    cut: "if (held >= capabilitiesMax) {",
    put: "if (held < 0) {",
    test: "kit/src/session/edge.test.ts",
  },
  {
    promise: "fairness: a batch is answered whole, however long it takes to read",
    file: "kit/src/session/session.ts",
    cut: "drained ??= transport\n        .allRead()",
    put: "drained ??= Promise.resolve()",
    test: "kit/src/session/fairness.test.ts",
  },
  {
    promise: "an address begins so many sessions a second",
    file: "kit/src/session/address.ts",
    cut: "if (waitMs > 0) throw",
    put: "if (waitMs < 0) throw",
    test: "kit/src/session/address.test.ts",
  },
];

const root = fileURLToPath(new URL("..", import.meta.url));
if (import.meta.main) process.exitCode = tryAll(chosen()) === 0 ? 0 : 1;

/** Those whose promise has the word of the command line in it; all of them without one. */
function chosen(): readonly Mutant[] {
  const usage = `npm run mutants -- [WORD]   the mutants whose promise has WORD in it (default: all ${mutants.length})`;
  return readCommandLine({
    usage,
    options: {},
    takesWords: true,
    read(_, [word = "", ...more]) {
      if (more.length > 0) throw new UsageError("One WORD at most; quote it when it has spaces");
      const found = mutants.filter((mutant) => mutant.promise.includes(word));
      if (found.length > 0) return found;
      const promises = mutants.map(({ promise }) => `  ${promise}`).join("\n");
      throw new UsageError(`No promise has ${JSON.stringify(word)} in it. The promises:\n${promises}`);
    },
  });
}

/** @returns how many were not noticed by their test. */
function tryAll(all: readonly Mutant[]): number {
  const copy = mkdtempSync(join(tmpdir(), "flotilla-mutants-"));
  try {
    copyRepository(root, copy);
    const survivors = all.filter((mutant) => !isCaught(mutant, copy)).length;
    process.stdout.write(
      survivors === 0 ? "Every test failed when its mechanism was out.\n" : `${survivors} survived.\n`,
    );
    return survivors;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function isCaught({ promise, file, cut, put, test }: Mutant, copy: string): boolean {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  if (original.split(cut).length !== 2) {
    process.stdout.write(`?  ${promise}: ${file} does not have the line to take out\n`);
    return false;
  }
  // By a function: in a replacement text, $ has a meaning of its own.
  writeFileSync(
    path,
    original.replace(cut, () => put),
  );
  const vitest = join(dirname(fileURLToPath(import.meta.resolve("vitest"))), "..", "vitest.mjs");
  const run = spawnSync(process.execPath, [vitest, "run", test, "--testTimeout=10000"], {
    cwd: copy,
    encoding: "utf8",
  });
  writeFileSync(path, original);
  const isCaught = run.status === 1 && / FAIL /.test(run.stdout + run.stderr);
  process.stdout.write(
    `${isCaught ? "ok" : "!!"} ${promise}: ${test} ${isCaught ? "fails" : `passes (exit ${run.status})`}\n`,
  );
  return isCaught;
}
