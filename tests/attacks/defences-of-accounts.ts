import { type Defence, edit, noSchema } from "./defence.ts";

const file = "accounts.timing.test.ts";
const ofTokens = "tokens.slow.test.ts";
const tokens = "shop/users/access-token.ts";
const logins = "shop/users/sql-logins.ts";
const account = "shop/users/account-target.ts";
const office = "shop/users/administration.ts";
const users = "shop/users/authentication.ts";

/** Only what the signature covers is looked at, and not how it is spelled. */
const anySpelling = edit(tokens, "return spelled === token ?", 'return spelled !== "" ?');
const asText =
  'const [head = "", body = "", seal = ""] = token.split(".").map((it) => Buffer.from(it, "base64url"));\n';
const believed = "return { protectedHeader: JSON.parse(String(head)), payload: JSON.parse(String(body)) };\n";
/** The algorithm is the token's own choice. */
const believing = (condition: string) =>
  edit(
    tokens,
    "    try {\n      return await jwtVerify",
    `    try {\n      ${asText}      if (${condition}) ${believed}      return await jwtVerify`,
  );
/** Both of a call's checks: the revoker, and the question to the store. */
const neverRevoked = [
  edit(account, "    revocable(this, found.hold.revocation);\n"),
  edit(office, "    revocable(this, own.hold.revocation);\n"),
  edit("shop/users/user.ts", "    if (login) revocable(this, login.hold.revocation);\n"),
  edit(
    account,
    "return () => store.standing(login.accountId, { sid: login.sid, nowMs: clock.now() });",
    "return () => store.standing(clock ? login.accountId : login.sid);",
  ),
];

export const defencesOfAccounts: readonly Defence[] = [
  {
    row: "A1",
    file: ofTokens,
    off: "a token of no algorithm needs no signature",
    edits: [anySpelling, believing("String(head).includes('\"none\"')")],
  },
  {
    row: "A1",
    file: ofTokens,
    off: "HS256 is checked with the public key",
    edits: [
      anySpelling,
      believing(
        'String(head).includes("HS256") && (await import("node:crypto")).createHmac("sha256", ' +
          '(await keys.current()).publicKey.export({ type: "spki", format: "pem" }))' +
          '.update(token.slice(0, token.lastIndexOf("."))).digest().equals(seal!)',
      ),
    ],
  },
  {
    row: "A2",
    test: "A2 of another",
    file: ofTokens,
    off: "neither audience nor issuer are checked",
    edits: [anySpelling, edit(tokens, "        issuer,\n        audience: issuer,\n")],
  },
  {
    row: "A2",
    test: "A2 of another",
    file: ofTokens,
    off: "the type is not checked",
    edits: [anySpelling, edit(tokens, "        typ: type,\n")],
  },
  {
    row: "A2",
    test: "A2 of another",
    file: ofTokens,
    off: "the age is not checked",
    edits: [anySpelling, edit(tokens, "        maxTokenAge: lifetimeMs / 1_000,\n")],
  },
  {
    row: "A2",
    test: "A2 of another",
    file: ofTokens,
    off: "a token may say more than ours do",
    edits: [anySpelling],
  },
  {
    row: "A2",
    test: "A2 of another",
    file: ofTokens,
    off: "whose the login is is not checked",
    edits: [edit(users, "found?.account.id !== claims.accountId", "!found")],
  },
  {
    row: "A2",
    test: "A2 a refresh token",
    file: ofTokens,
    off: "a refresh token is looked up as a login",
    edits: [
      edit(
        users,
        "  const claims = await tokens.verify(token);\n",
        "  const asked = hashesOf(token);\n" +
          "  const nowMs = clock.now();\n" +
          '  const rotated = asked && (await store.rotate({ ...asked, successorHash: "x", salt: newSalt(), nowMs }));\n' +
          '  const own = rotated?.kind === "rotated" ? { ...rotated.login, expiresAtMs: nowMs + 60_000 } : undefined;\n' +
          "  const claims = own ?? (await tokens.verify(token));\n",
      ),
    ],
  },
  {
    row: "A3",
    file: ofTokens,
    off: "a key in the header is believed",
    edits: [
      anySpelling,
      edit(
        tokens,
        "({ kid }) => publicKeyOf(kid)",
        "async ({ kid, jwk }) =>\n" +
          '        jwk ? (await import("node:crypto")).createPublicKey({ key: { ...jwk } as never, format: "jwk" }) : publicKeyOf(kid)',
      ),
    ],
  },
  {
    row: "A3",
    file: ofTokens,
    off: "where the header says, a key is fetched",
    edits: [
      edit(
        tokens,
        "({ kid }) => publicKeyOf(kid)",
        "async ({ kid, jku }) => (jku ? ((await fetch(jku as string)).json() as never) : publicKeyOf(kid))",
      ),
    ],
  },
  {
    row: "A4",
    file: ofTokens,
    off: "a token that was rotated before is only refused",
    edits: [
      edit(logins, '    yield* run(build.deleteFrom("logins").where("number", "=", row.number));\n'),
      edit(users, '  if (rotated.kind === "reused") revokers.endLogin(rotated.login);\n'),
    ],
  },
  {
    row: "A5",
    file: ofTokens,
    off: "no time of grace",
    edits: [edit("shop/users/login.ts", "rotationGraceMs = 10_000", "rotationGraceMs = -1")],
  },
  {
    row: "A6",
    file: ofTokens,
    off: "a token rotated before gives a successor of its own",
    edits: [edit(users, "successorOf(refreshToken, rotated.salt)", "successorOf(refreshToken, newSalt())")],
  },
  {
    row: "A7",
    file: ofTokens,
    off: "logins outlive a log-out everywhere, a change of password, and their user's being disabled",
    edits: [
      edit(
        logins,
        'const ofAccount = build.deleteFrom("logins").where("account_number", "=", numberOf(id));\n  return (yield* run(ofAccount.returning("number"))).length;',
        'const ofAccount = build.selectFrom("logins").where("account_number", "=", numberOf(id));\n  return (yield* run(ofAccount.select("number"))).length;',
      ),
    ],
  },
  {
    row: "A9",
    file,
    off: "no work for a name that nobody has",
    edits: [
      edit(
        "shop/users/password.ts",
        "      const text = canonical(password);\n      const work",
        "      const text = canonical(password);\n      if (passwordHash === undefined) return false;\n      const work",
      ),
    ],
  },
  {
    row: "A9",
    file,
    off: "another answer for a name that nobody has",
    edits: [
      edit(
        users,
        'throw new FlotillaError("unauthenticated", "Invalid username or password")',
        'throw new FlotillaError("unauthenticated", account ? "Invalid password" : "Invalid username")',
      ),
    ],
  },
  {
    row: "A11",
    test: "A11 a password",
    file,
    off: "no policy for who is made",
    edits: [edit(office, "    assertAcceptablePassword(password, { username: name, email });\n")],
  },
  {
    row: "A11",
    test: "A11 a password",
    file,
    off: "72 characters count",
    edits: [
      edit(
        "shop/users/password.ts",
        'return password.normalize("NFC");',
        'return password.normalize("NFC").slice(0, 72);',
      ),
    ],
  },
  {
    row: "A11",
    test: "A11 the same policy",
    file,
    off: "no policy for a change",
    edits: [edit(account, "    assertAcceptablePassword(next, account);\n")],
  },
  {
    row: "A13",
    file,
    off: "the introduction of whoever was there first serves all accounts",
    edits: [edit("shop/gateway/account.ts", "crypto.randomUUID()}", '"anybody"}')],
  },
  {
    row: "A14",
    file,
    off: "signatures are not checked",
    edits: [anySpelling, believing("true")],
  },
  {
    row: "A15",
    test: "A15 nobody",
    file,
    off: "holding the administration is the permission",
    edits: [edit(office, "    if (missing) {", '    if (String(missing) === "never") {')],
  },
  {
    row: "A15",
    test: "A15 nobody",
    file,
    off: "no schemas, so that a profile may have more fields than are known",
    edits: [noSchema],
  },
  {
    row: "A15",
    test: "A15 who may",
    file,
    off: "who may make users may make any",
    edits: [
      edit(office, '(role === defaultRole ? ["user.create" as const] : adminsCreate)', '["user.create" as const]'),
    ],
  },
  {
    row: "A15",
    test: "A15 who may",
    file,
    off: "who may disable users may disable any",
    edits: [edit(office, 'if (role?.permissions.includes("system.admin")) await', 'if (role?.name === "never") await')],
  },
  {
    row: "A16",
    file: ofTokens,
    off: "signatures of hellos are not checked",
    edits: [
      edit(
        "kit/src/identity/hello.ts",
        "verify(null, signed(purpose, payload), candidate, bytes)",
        "verify !== undefined && signed(purpose, payload) && candidate && bytes",
      ),
    ],
  },
  { row: "C6", test: "C6 is dead", file, off: "what is held is asked of nobody again", edits: neverRevoked },
  {
    row: "C6",
    test: "C6 is dead at its next use when",
    file,
    off: "what is held is asked of nobody again, and whoever is disabled stands as before",
    edits: [
      ...neverRevoked,
      edit(
        "shop/users/sql-accounts.ts",
        '      .where("accounts.number", "=", number)\n      .where("accounts.state", "=", "enabled");\n',
        '      .where("accounts.number", "=", number);\n',
      ),
    ],
  },
  {
    row: "C6",
    test: "C6 may no more",
    file,
    off: "the permissions are those of the log-in",
    edits: [
      edit(
        "shop/users/user.ts",
        "    const now = await standing(this.#ask);\n",
        "    this.#first ??= await standing(this.#ask);\n    const now = this.#first;\n",
      ),
      edit(
        "shop/users/user.ts",
        "  readonly #id: string;\n",
        "  readonly #id: string;\n  #first: Standing | undefined;\n",
      ),
    ],
  },
];
