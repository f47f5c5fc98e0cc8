// `npm run mutants`: takes out, one at a time and in a copy, the mechanism behind each promise of ARCHITECTURE.md and
// SECURITY.md, and looks whether the test that is named there fails. Takes some minutes, so it is not part of `npm test`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { copyRepository } from "./repository-copy.ts";

interface Mutant {
  readonly promise: string;
  readonly file: string;
  readonly cut: string;
  readonly put: string;
  readonly test: string;
}

const introductions = "tests/forgery.test.ts";

const mutants: readonly Mutant[] = [
  {
    promise: "I1 an order is acknowledged after it is on disk",
    file: "shop/service/sqlite.ts",
    cut: 'db.exec("COMMIT");',
    put: 'setImmediate(() => db.isTransaction && db.exec("COMMIT"));',
    test: "shop/orders/store-kill.test.ts",
  },
  {
    promise: "I2 a key that was used gives the same order again",
    file: "shop/orders/store-sqlite.ts",
    cut: "if (!record) return undefined;",
    put: "if (!record || record) return undefined;",
    test: "shop/orders/store.test.ts",
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
    promise: "I5 a user hangs on its login",
    file: "shop/users/user.ts",
    cut: "if (hold) revocable(this, hold.revocation);",
    put: "",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 an account hangs on its login",
    file: "shop/users/account-target.ts",
    cut: "revocable(this, found.hold.revocation);",
    put: "",
    test: "shop/users/account-target.test.ts",
  },
  {
    promise: "I5 an administration hangs on its login",
    file: "shop/users/administration.ts",
    cut: "revocable(this, own.hold.revocation);",
    put: "",
    test: "shop/users/account-target.test.ts",
  },
  {
    promise: "I5 a login's revoker hangs on its account's",
    file: "shop/users/revokers.ts",
    cut: "makeRevoker(account.revoker)",
    put: "makeRevoker()",
    test: "shop/users/revokers.test.ts",
  },
  {
    promise: "I5 a login is held before it is looked up",
    file: "shop/users/authentication.ts",
    cut: "return { ...found, hold, tokenEndsAtMs",
    put: "return { ...found, hold: revokers.hold(claims), tokenEndsAtMs",
    test: "shop/users/account-target.test.ts",
  },
  {
    promise: "I5 logging out revokes",
    file: "shop/users/account-target.ts",
    cut: "    revokers.endLogin(this.#found.login);\n",
    put: "",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 ending a session revokes",
    file: "shop/users/account-target.ts",
    cut: "    revokers.endLogin(login);\n",
    put: "",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 logging out everywhere revokes",
    file: "shop/users/account-target.ts",
    cut: "    revokers.endAccount(accountId);\n",
    put: "",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 changing the password revokes",
    file: "shop/users/account-target.ts",
    cut: "    revokers.endAccount(account.id);\n",
    put: "",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 disabling revokes",
    file: "shop/users/administration.ts",
    cut: "    revokers.endAccount(id);\n    return",
    put: "    return",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 deleting revokes",
    file: "shop/users/administration.ts",
    cut: "    revokers.endAccount(id);\n  }",
    put: "  }",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 the reuse of a refresh token revokes",
    file: "shop/users/authentication.ts",
    cut: '  if (rotated.kind === "reused") revokers.endLogin(rotated.login);\n',
    put: "",
    test: "tests/revocation.test.ts",
  },
  {
    promise: "I5 making room for a login revokes",
    file: "shop/users/authentication.ts",
    cut: "  for (const ended of opened.ended) revokers.endLogin(ended);\n",
    put: "",
    test: "shop/users/login.test.ts",
  },
  {
    promise: "I5 revokers are kept for nobody",
    file: "shop/users/revokers.ts",
    cut: "if (entry.holds === 0) onLast();",
    put: "",
    test: "shop/users/revokers.test.ts",
  },
  {
    promise: "I5 a token is no good when its login has ended",
    file: "shop/users/sqlite-logins.ts",
    cut: '  return run(one.where("idle_ends_at_ms", ">", nowMs).where("ends_at_ms", ">", nowMs)).map(toLogin)[0];',
    put: "  return run(one).map(toLogin)[0];",
    test: "shop/users/account-target.test.ts",
  },
  {
    promise: "I6 refresh tokens are kept as hashes",
    file: "shop/users/refresh-token.ts",
    cut: 'return createHash("sha256").update(bytes).digest("base64url");',
    put: 'return createHash && bytes.toString("base64url");',
    test: "shop/users/store.test.ts",
  },
  {
    promise: "a refresh token that was used ends its login",
    file: "shop/users/sqlite-logins.ts",
    cut: '    run(build.deleteFrom("logins").where("number", "=", row.number));\n',
    put: "",
    test: "shop/users/login.test.ts",
  },
  {
    promise: "a refresh whose answer was lost gives the same successor",
    file: "shop/users/sqlite-logins.ts",
    cut: "    if (before) return",
    put: "    if (before === null) return",
    test: "shop/users/login.test.ts",
  },
  {
    promise: "the time of grace ends",
    file: "shop/users/sqlite-logins.ts",
    cut: 'run(ofLogin.where("rotated_at_ms", "<=", nowMs - rotationGraceMs));',
    put: "void [ofLogin, rotationGraceMs];",
    test: "shop/users/login.test.ts",
  },
  {
    promise: "tokens have one algorithm",
    file: "shop/users/access-token.ts",
    cut: "const header = encode({ alg: algorithm, typ: type, kid: protectedHeader.kid });",
    put: "const header = encode(protectedHeader);",
    test: "shop/users/access-token.test.ts",
  },
  {
    promise: "tokens have an audience",
    file: "shop/users/access-token.ts",
    cut: "        audience: issuer,\n",
    put: "",
    test: "shop/users/access-token.test.ts",
  },
  {
    promise: "tokens are not of the future",
    file: "shop/users/access-token.ts",
    cut: "        maxTokenAge: lifetimeMs / 1_000,\n",
    put: "",
    test: "shop/users/access-token.test.ts",
  },
  {
    promise: "tokens end to the millisecond",
    file: "shop/users/access-token.ts",
    cut: "claims.expiresAtMs > clock.now() ? claims : undefined",
    put: "claims.expiresAtMs > 0 ? claims : undefined",
    test: "shop/users/access-token.test.ts",
  },
  {
    promise: "an old key verifies on",
    file: "shop/users/token-keys.ts",
    cut: "if (next && next.createdAtMs + tokenKeyKeptMs <= nowMs)",
    put: "if (next)",
    test: "shop/users/token-keys.test.ts",
  },
  {
    promise: "a key that others can read is refused",
    file: "shop/users/token-keys.ts",
    cut: "(statSync(path).mode & 0o077) !== 0",
    put: "(statSync(path).mode & 0o077) < 0",
    test: "shop/users/token-keys.test.ts",
  },
  {
    promise: "a disabled user opens no login",
    file: "shop/users/sqlite-logins.ts",
    cut: 'return run(one.where("state", "=", "enabled"))',
    put: 'return run(one.where("state", "<>", "deleted"))',
    test: "shop/users/login.test.ts",
  },
  {
    promise: "a login is for the password that was compared",
    file: "shop/users/sqlite-logins.ts",
    cut: "if (account?.passwordHash !== login.verifiedHash) return undefined;",
    put: "if (!account) return undefined;",
    test: "shop/users/store.test.ts",
  },
  {
    promise: "weak hashes are replaced",
    file: "shop/users/authentication.ts",
    cut: "if (!isWeakHash(hash)) return undefined;",
    put: "if (!isWeakHash(hash) || hash) return undefined;",
    test: "shop/users/login.test.ts",
  },
  {
    promise: "common passwords are refused",
    file: "shop/users/password-policy.ts",
    cut: "commonPasswords.has(folded) || ",
    put: "",
    test: "shop/users/password-policy.test.ts",
  },
  {
    promise: "the last administrator stays",
    file: "shop/users/sqlite-accounts.ts",
    cut: "if (first && !second && accountId(first.number) === id) throw",
    put: 'if (first && !second && accountId(first.number) === "") throw',
    test: "shop/users/administration.test.ts",
  },
  {
    promise: "an administration asks for the permission",
    file: "shop/users/administration.ts",
    cut: "    if (missing) {",
    put: "    if (missing && now === undefined) {",
    test: "shop/users/administration.test.ts",
  },
  {
    promise: "administrators are removed by administrators",
    file: "shop/users/administration.ts",
    cut: 'if (role?.permissions.includes("system.admin")) await',
    put: "if (role === null) await",
    test: "shop/users/administration.test.ts",
  },
  {
    promise: "the trail is append-only",
    file: "shop/users/migrations/0002-logins.ts",
    cut: "SELECT RAISE(ABORT, 'the audit trail is kept for 400 days');",
    put: "SELECT 1;",
    test: "shop/users/store-audit.test.ts",
  },
  {
    promise: "a flood of names fills no disk",
    file: "shop/users/sqlite-audit.ts",
    cut: "row!.n < strangersPerMinuteMax ? who",
    put: "row!.n < Infinity ? who",
    test: "shop/users/store-audit.test.ts",
  },
  {
    promise: "production has no demo user",
    file: "shop/users/production.ts",
    cut: "if (open.length === 0) return;",
    put: "if (open.length >= 0) return;",
    test: "shop/users/production.test.ts",
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
    cut: "if (!rate.take())",
    put: "if (rate === undefined)",
    test: "kit/src/session/edge.test.ts",
  },
  {
    promise: "I8 a batch is torn down",
    file: "kit/src/session/batch.ts",
    cut: 'session.close(new FlotillaError("unavailable", "The batch has ended"));',
    put: "",
    test: "kit/src/session/batch.test.ts",
  },
  {
    promise: "I8 what was withdrawn is let go",
    file: "shop/orders/service.ts",
    cut: "using buyer = accept(",
    put: "const buyer = accept(",
    test: "tests/introduction.test.ts",
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
    cut: "tooLate.reject(deadlineExceeded());",
    put: "",
    test: "kit/src/capability/boundary.test.ts",
  },
  {
    promise: "context is set between the reading of a message and its dispatch",
    file: "kit/src/transport/envelope.ts",
    cut: "      enterContext(context);\n",
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
    cut: '!verify(null, signed(purpose, payload), key, Buffer.from(signature, "base64url"))',
    put: "verify === undefined",
    test: "kit/src/session/hello.test.ts",
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
    cut: "if (left > 0 && waiting.length === 0) {",
    put: "if (left !== undefined) {",
    test: "kit/src/transport/pace.test.ts",
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
    cut: "if (!address.begun.take())",
    put: "if (address.count < 0)",
    test: "kit/src/session/address.test.ts",
  },
];

const root = fileURLToPath(new URL("..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "flotilla-mutants-"));
const only = process.argv[2];
let survivors = 0;
try {
  copyRepository(root, copy);
  for (const mutant of mutants) if (!only || mutant.promise.includes(only)) tryOut(mutant);
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(survivors === 0 ? "Every test failed when its mechanism was out.\n" : `${survivors} survived.\n`);
process.exitCode = survivors === 0 ? 0 : 1;

function tryOut({ promise, file, cut, put, test }: Mutant): void {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  if (original.split(cut).length !== 2) {
    survivors += 1;
    process.stdout.write(`?  ${promise}: ${file} does not have the line to take out\n`);
    return;
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
  if (!isCaught) survivors += 1;
  process.stdout.write(
    `${isCaught ? "ok" : "!!"} ${promise}: ${test} ${isCaught ? "fails" : `passes (exit ${run.status})`}\n`,
  );
}
