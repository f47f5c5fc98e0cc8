import {
  anyOrigin,
  type Defence,
  edit,
  inbox,
  listener,
  messages,
  noDeadlines,
  noSchema,
  nothingRefused,
  serve,
  tables,
} from "./defence.ts";

const resources = "resources.timing.test.ts";
const connections = "connections.timing.test.ts";
const callbacks = "callbacks.test.ts";
const limits = "limits.timing.test.ts";
const web = "web.slow.test.ts";
const leakage = "leakage.slow.test.ts";

export const defencesOfResources: readonly Defence[] = [
  {
    row: "R1",
    test: "R1 calls pipelined",
    file: resources,
    off: "no limit of pipelining",
    edits: [edit(messages, "if (answer.depth > pipelineDepthMax)", "if (answer.depth < 0)")],
  },
  {
    row: "R1",
    test: "R1 calls that each wait",
    file: resources,
    off: "results settle each other as deep as it goes",
    edits: [edit("kit/src/rpc/result.ts", "if (nested >= nestedMax) {", "if (nested < 0) {")],
  },
  {
    row: "R1",
    // With R13, whose thousand orders it copies.
    test: "much to answer",
    file: resources,
    off: "what is copied into arguments is not counted",
    edits: [edit("kit/src/rpc/copies.ts", "if (count > left) throw", "if (count < 0) throw")],
  },
  {
    row: "R2",
    test: "R2 calls",
    file: resources,
    off: "no limit of calls that were not released",
    edits: [edit(tables, "if (this.answers.size >= outstandingCallsMax) {", "if (this.answers.size < 0) {")],
  },
  {
    row: "R2",
    test: "R2 results",
    file: resources,
    off: "no limit of capabilities that were not released",
    edits: [edit(tables, "if (this.#given.size >= outstandingCallsMax) {", "if (this.#given.size < 0) {")],
  },
  {
    row: "R2",
    test: "R2 more messages",
    file: resources,
    off: "no limit of messages per second",
    edits: [edit(inbox, "if (this.#rate && !this.#rate.take(", "if (this.#rate && !lines && this.#rate.take(")],
  },
  {
    row: "R2",
    test: "R2 capabilities",
    file: resources,
    off: "no limit of the peer's own capabilities",
    edits: [edit(tables, "if (this.#imports.size >= exportsMax) throw", "if (this.#imports.size < 0) throw")],
  },
  {
    row: "R3",
    file: resources,
    off: "no limit of calls that were not released",
    edits: [edit(tables, "if (this.answers.size >= outstandingCallsMax) {", "if (this.answers.size < 0) {")],
  },
  {
    row: "R4",
    file: resources,
    off: "no limit of calls in a batch",
    edits: [
      edit(
        "kit/src/server/batch.ts",
        "outstandingCallsMax: batchCallsMax }",
        "outstandingCallsMax: batchCallsMax * 1_000 }",
      ),
    ],
  },
  {
    row: "R5",
    test: "R5 a batch",
    file: resources,
    off: "promises of the sender's are taken",
    edits: nothingRefused,
  },
  { row: "R5", test: "R5 that is never", file: callbacks, off: "no deadlines", edits: noDeadlines },
  {
    row: "R6",
    file: resources,
    off: "no limit of what waits for a peer",
    edits: [
      edit(
        "kit/src/rpc/session.ts",
        "if (this.#channel.bufferedBytes() + frame.length > this.#options.limits.sendBufferBytesMax) {",
        "if (this.#channel.bufferedBytes() < 0) {",
      ),
    ],
  },
  {
    row: "R7",
    file: connections,
    off: "no limit for one address",
    edits: [edit("kit/src/server/address-budget.ts", "count >= countMax", "count < 0")],
  },
  {
    row: "R8",
    file: connections,
    off: "five minutes for a request",
    edits: [
      edit(listener, "headersTimeout: receiveMsMax,", "headersTimeout: 60_000,"),
      edit(listener, "requestTimeout: receiveMsMax,", "requestTimeout: 300_000,"),
    ],
  },
  {
    row: "R9",
    file: connections,
    off: "compression is accepted",
    edits: [edit("kit/src/server/upgrader.ts", "perMessageDeflate: false", "perMessageDeflate: true")],
  },
  {
    row: "R10",
    test: "R10 a frame",
    file: connections,
    off: "no limit of a frame's size before it is read",
    edits: [
      edit(
        "kit/src/server/upgrader.ts",
        "maxPayload: limits.frameBytesMax,",
        "maxPayload: limits.frameBytesMax * 1000,",
      ),
    ],
  },
  {
    row: "R10",
    test: "R10 32 MB",
    file: connections,
    off: "what is no message is said back",
    edits: [edit("kit/src/rpc/inbox.ts", 'throw violation("not JSON");', "throw violation(line);")],
  },
  {
    row: "R11",
    test: "R11 a flood",
    file: limits,
    off: "no limit of log-ins of one network",
    edits: [
      edit(
        "shop/gateway/rate-limits.ts",
        'hashing: Cost = { class: "login", points: 20 }',
        'hashing: Cost = { class: "login", points: 0 }',
      ),
      edit(
        "shop/gateway/login-limits.ts",
        "limiter(networkLogins * times, windowMs)",
        "limiter(1e9 * times, windowMs)",
      ),
    ],
  },
  {
    row: "R11",
    test: "R11 guesses",
    file: limits,
    off: "no limit of log-ins with one account from one network",
    edits: [edit("shop/gateway/login-limits.ts", "pairShare = 0.1", "pairShare = 1")],
  },
  {
    row: "R11",
    test: "R11 a victim",
    file: limits,
    off: "an account has so many log-ins, wherever they come from",
    edits: [edit("shop/gateway/login-limits.ts", '[account, network].join(" ")', "account")],
  },
  {
    row: "R12",
    file: connections,
    off: "neither the schema nor the hashing looks at the length",
    edits: [
      noSchema,
      edit("shop/users/password.ts", "if (password.length > passwordCharsMax) {", "if (password.length < 0) {"),
    ],
  },
  {
    row: "R13",
    file: resources,
    off: "a list has no limit",
    edits: [edit("shop/orders/store.ts", "listMax = 1_000", "listMax = 100_000")],
  },
  {
    row: "R14",
    test: "R14 one user",
    file: limits,
    off: "no budget of users",
    edits: [edit("shop/gateway/rate-limits.ts", "if (userId !== undefined) charged", 'if (userId === "") charged')],
  },
  {
    row: "R14",
    test: "R14 one network",
    file: limits,
    off: "no budget of networks",
    edits: [
      edit(
        "shop/gateway/rate-limits.ts",
        "const charged = budgetsOf(network);",
        "const charged = budgetsOf(network).slice(0, 0);",
      ),
    ],
  },
  {
    row: "R14",
    test: "R14 the sessions",
    file: limits,
    off: "no limit of a user's sessions",
    edits: [edit("shop/gateway/user-sessions.ts", "tokens.size < sessionsMax;", "sessionsMax > 0;")],
  },
  {
    row: "R15",
    file: resources,
    off: "a pattern that backtracks",
    edits: [edit("shop/contracts/orders.ts", '"^[!-~]{1,128}$"', '"^[!-~]*[!-~]*[0-9]$"')],
  },
  { row: "R16", test: "R16 that takes", file: callbacks, off: "no deadlines", edits: noDeadlines },
  {
    row: "R16",
    test: "R16 of a subscriber",
    file: callbacks,
    off: "no limit of calls of one callback",
    edits: [edit("kit/src/capability/places.ts", "if (taken >= callsMax)", "if (taken < 0)")],
  },

  {
    row: "W1",
    file: web,
    off: "an origin is listed when it begins like one",
    edits: [
      edit(
        "kit/src/server/admission.ts",
        "origins.has(origin);",
        "[...origins].some((it) => it !== undefined && origin?.startsWith(it));",
      ),
    ],
  },
  { row: "W2", file: web, off: "every origin may post", edits: [anyOrigin] },
  {
    row: "W3",
    file: web,
    off: "the origin is reflected",
    edits: [edit(serve, "if (admission.isListedOrigin(origin)) allowOrigin", "if (origin !== undefined) allowOrigin")],
  },
  {
    row: "W5",
    file: web,
    off: "answers have no headers but their type",
    edits: [edit("kit/src/server/http.ts", '{ "content-type": type, ...safeHeaders }', '{ "content-type": type }')],
  },
  {
    row: "W6",
    file: web,
    off: "the referrer is looked up",
    edits: [
      edit(
        serve,
        "    const { origin } = request.headers;\n",
        "    const { origin, referer } = request.headers;\n    if (referer?.startsWith('http')) void fetch(referer).catch(() => {});\n",
      ),
    ],
  },
  {
    row: "W9",
    file: web,
    off: "Node's lenient parser",
    edits: [edit(listener, "keepAliveTimeout: 65_000,", "keepAliveTimeout: 65_000,\n      insecureHTTPParser: true,")],
  },
  {
    row: "W10",
    file: web,
    off: "the address is what a header says",
    edits: [
      edit(
        "kit/src/server/address-budget.ts",
        "const address = addressOf(request);",
        'const address = String(request.headers["x-forwarded-for"]);',
      ),
    ],
  },
  {
    row: "W11",
    file: leakage,
    off: "logins are logged with their password",
    edits: [
      edit(
        "shop/gateway/service.ts",
        "    return this.#deps.users.call((main) => main.authenticate",
        "    console.error(username, password);\n    return this.#deps.users.call((main) => main.authenticate",
      ),
    ],
  },
  {
    row: "W12",
    file: web,
    off: "logins are printed",
    edits: [
      edit(
        "shop/gateway/service.ts",
        "    return this.#deps.users.call((main) => main.authenticate",
        "    console.error(username);\n    return this.#deps.users.call((main) => main.authenticate",
      ),
    ],
  },
  {
    row: "W13",
    file: callbacks,
    off: "the message of an unknown error is sent",
    edits: [
      edit(
        "kit/src/base/errors.ts",
        'new FlotillaError("internal", "Internal error",',
        'new FlotillaError("internal", String(thrown),',
      ),
    ],
  },
  {
    row: "W13",
    test: "W13 is an error",
    file: leakage,
    off: "the driver's message is sent",
    edits: [edit("shop/service/sqlite-error.ts", '"The store cannot be used now"', "String(thrown)")],
  },
  {
    row: "W14",
    file: web,
    off: "metrics are public",
    edits: [
      edit(
        serve,
        "if (path === paths.health && isGet)",
        'if ((path === paths.health || path === "/metrics") && isGet)',
      ),
    ],
  },
  {
    row: "W15",
    file: web,
    off: "a refusal is counted by its path",
    edits: [
      edit(
        serve,
        "    else answerUnserved(",
        '    else if (onRefused?.(new FlotillaError("not_found", "", { reason: path.slice(1) })) === undefined) answerUnserved(',
      ),
    ],
  },
  {
    row: "W16",
    test: "W16 has no",
    file: leakage,
    off: "production has the demo's users",
    edits: [edit("shop/users/seed.ts", 'if (mode === "production") {', "if (!mode) {")],
  },
  {
    row: "W16",
    test: "W16 does not",
    file: leakage,
    off: "a key may be readable by others",
    edits: [edit("kit/src/identity/identity.ts", "assertPrivate(file, { refusal, onClosed });", "")],
  },
  {
    row: "W17",
    file: web,
    off: "the keys' directory is open",
    edits: [
      edit(
        "kit/src/identity/identity.ts",
        "if (hasModes) chmodSync(directory, 0o700);",
        "chmodSync(directory, 0o755);",
      ),
    ],
  },
  {
    row: "W18",
    file: web,
    off: "a package runs a script when it is installed",
    edits: [
      edit(
        "package-lock.json",
        '    "node_modules/capnweb": {\n',
        '    "node_modules/capnweb": {\n      "hasInstallScript": true,\n',
      ),
    ],
  },
];
