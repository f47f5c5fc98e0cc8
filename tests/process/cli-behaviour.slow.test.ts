import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Cli, launcher, makeCli } from "../cli-harness.ts";
import { type Processes, startProcesses } from "../process-harness.ts";

let shop: Processes;
let cli: Cli;

beforeAll(async () => {
  shop = await startProcesses();
  cli = makeCli({ FLOTILLA_GATEWAY_URL: shop.urls.gateway });
  await Promise.all([cli.login("alice"), cli.login("bob")]);
});

afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  cli[Symbol.dispose]();
});

const bob = ["--profile", "bob"];
const profileOf = (name: string) => join(cli.home, "config", "flotilla", `${name}.json`);
const readProfile = (name: string) => JSON.parse(readFileSync(profileOf(name), "utf8"));

/** Says of each request what is to happen to it; `pass` hands it on to the gateway and resolves when that has answered. */
type Behave = (
  request: IncomingMessage,
  response: ServerResponse,
  way: { body: string; pass: () => Promise<string> },
) => void;

/** A gateway that misbehaves; closed when the test ends. */
async function misbehaving(behave: Behave): Promise<string> {
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.setEncoding("utf8").on("data", (text: string) => (body += text));
    incoming.on("end", () => behave(incoming, response, { body, pass: () => passOn(incoming, body) }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function passOn({ url = "", method, headers }: IncomingMessage, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(`${shop.urls.gateway}${url}`, { method, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve(text));
    });
    asked.on("error", reject).end(body);
  });
}

/** The login of `from`, as a profile of the gateway at `url`. */
function adopt(from: string, name: string, url: string): void {
  writeFileSync(profileOf(name), JSON.stringify({ ...readProfile(from), gateway: url }), { mode: 0o600 });
}

test("an order whose answer was lost is repeated with its key, and placed once", async () => {
  const keys: unknown[] = [];
  const url = await misbehaving((_, response, { body, pass }) => {
    keys.push(/"createOrder"\],\[.*,"([^"]+)"\]/.exec(body)?.[1]);
    void pass().then((text) => (keys.length < 3 ? response.destroy() : response.end(text)));
  });
  adopt("bob", "lossy", url);
  const args = ["order", "create", "Lamp:1:20", "--profile", "lossy", "--gateway", url];
  const { code, out, err } = await cli.run([...args, "--verbose"]);
  expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("Order placed") });
  expect(err).toMatch(/closed the connection; trying again in \d+ ms/);
  expect(keys).toHaveLength(3);
  expect(keys[0]).toMatch(/^[\w-]{36}$/);
  expect(new Set(keys).size).toBe(1);
  const orders = (await cli.json(["order", "list", ...bob])) as unknown[];
  expect(orders).toHaveLength(1);
});

test("what may not happen twice is not repeated, and the person hears what to do", async () => {
  let asked = 0;
  const url = await misbehaving((_, response) => {
    asked += 1;
    response.destroy();
  });
  adopt("alice", "lossy", url);
  const place = ["--profile", "lossy", "--gateway", url];
  const deleted = await cli.run(["users", "delete", "user3", "--yes", ...place]);
  expect(deleted).toMatchObject({ code: 6, err: expect.stringMatching(/it closed the connection\n {2}Look whether/) });
  expect(asked).toBe(1);
  const ordered = await cli.run([
    "order",
    "create",
    "Lamp:1:20",
    "--idempotency-key",
    "k7",
    "--timeout",
    "1s",
    ...place,
  ]);
  expect(ordered.code).toBe(6);
  expect(ordered.err).toContain("It may have been placed. To be sure, repeat it with `--idempotency-key k7`");
  expect(asked).toBeGreaterThan(2);
});

test("--timeout bounds a gateway that says nothing; after a second the person hears of it", async () => {
  const url = await misbehaving(() => undefined);
  adopt("bob", "silent", url);
  const [text, json] = await Promise.all([
    cli.run(["order", "list", "--timeout", "1500ms", "--profile", "silent"], { env: { FLOTILLA_GATEWAY_URL: url } }),
    cli.run(["order", "list", "--timeout", "300ms", "--profile", "silent", "--gateway", url, "--json"]),
  ]);
  expect(text).toMatchObject({ code: 124, out: "" });
  expect(text.err).toMatch(/^Waiting for http:.* \(1 s\) \.\.\.\n✗ The gateway at .* did not answer within 1\.5 s\n/);
  expect(json.code).toBe(124);
  expect(JSON.parse(json.err).error).toMatchObject({ code: "deadline_exceeded", exitCode: 124 });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends a command that waits, with %i and no word", async (signal, code) => {
  const started = Promise.withResolvers<void>();
  const url = await misbehaving(() => started.resolve());
  adopt("bob", "silent", url);
  const ran = await cli.run(["order", "list", "--profile", "silent", "--gateway", url], {
    onStart: (kill) => void started.promise.then(() => kill(signal)),
  });
  expect(ran).toEqual({ code, out: "", err: "" });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends a command that reads its input, with %i and no word", async (signal, code) => {
  // More than a pipe holds, so it was read in part when it was written.
  const input = "x".repeat(900_000);
  const read = (...args: string[]) => cli.run(args, { input, onRead: (kill) => kill(signal) });
  const ran = await Promise.all([read("order", "create", "--items", "-"), read("login", "bob", "--password-stdin")]);
  for (const one of ran) expect(one).toEqual({ code, out: "", err: "" });
});

test("a role's permissions are not taken away unasked", async () => {
  const alice = ["--profile", "alice"];
  const before = await cli.json(["roles", "list", ...alice]);
  const ran = await cli.run(["roles", "set-permissions", "user", "order.view", ...alice]);
  expect(ran).toEqual({ code: 2, out: "", err: expect.stringContaining("This has to ask") });
  expect(await cli.json(["roles", "list", ...alice])).toEqual(before);
});

test("a token that has ended is renewed once for all commands that find it so", async () => {
  await cli.login("charlie");
  const before = readProfile("charlie");
  let renewals = 0;
  const url = await misbehaving((_, response, { body, pass }) => {
    if (body.includes('"refresh"')) renewals += 1;
    void pass().then((text) => response.end(text));
  });
  const ended = { ...before.login, expiresAt: Date.now() - 1_000 };
  writeFileSync(profileOf("charlie"), JSON.stringify({ gateway: url, login: ended }));
  const whoami = () => cli.run(["whoami", "--quiet", "--profile", "charlie", "--gateway", url]);
  const all = await Promise.all([whoami(), whoami(), whoami(), whoami()]);
  expect(all).toEqual(all.map(() => ({ code: 0, out: "charlie\n", err: "" })));
  expect(renewals).toBe(1);
  const after = readProfile("charlie");
  expect(after.login.refreshToken).not.toBe(before.login.refreshToken);
  expect(statSync(profileOf("charlie")).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(cli.home, "config", "flotilla")).filter((file) => !/\.(json|lock)$/.test(file))).toEqual([]);
  // Its clock may be wrong, too: what the gateway refuses is renewed as well.
  writeFileSync(
    profileOf("charlie"),
    JSON.stringify({ ...after, login: { ...after.login, token: before.login.token.slice(2) } }),
  );
  expect(await whoami()).toMatchObject({ code: 0, out: "charlie\n" });
  expect(renewals).toBe(2);
});

test("a login that has ended is forgotten, and the person told what to do", async () => {
  await cli.login("charlie");
  const { login, gateway } = readProfile("charlie");
  await cli.json(["logout", "--everywhere", "--yes", "--profile", "charlie"]);
  writeFileSync(profileOf("charlie"), JSON.stringify({ gateway, login }));
  const ran = await cli.run(["order", "list", "--profile", "charlie"]);
  expect(ran).toEqual({ code: 3, out: "", err: "✗ Your login has ended\n  Run `flotilla login --profile charlie`\n" });
  expect(readProfile("charlie")).toEqual({ gateway });
  expect(await cli.run(["logout", "--profile", "charlie"])).toMatchObject({ code: 3 });
});

test("tokens are sent to the gateway that made them, and to no other", async () => {
  let asked = 0;
  const url = await misbehaving((_, response) => {
    asked += 1;
    response.end();
  });
  const ran = await cli.run(["whoami", ...bob, "--gateway", url]);
  expect(ran.code).toBe(3);
  expect(ran.err).toContain(`You are not logged in at ${url} (profile bob is, at ${shop.urls.gateway})`);
  expect(asked).toBe(0);
});

// Windows has no such modes.
test.skipIf(process.platform === "win32")("a login that others can read is not used", async () => {
  chmodSync(profileOf("bob"), 0o644);
  onTestFinished(() => chmodSync(profileOf("bob"), 0o600));
  const { code, err } = await cli.run(["whoami", ...bob]);
  expect({ code, err }).toEqual({
    code: 5,
    err: `✗ ${profileOf("bob")} holds a login and is open to other users (mode 644)\n  Run \`chmod 600 ${profileOf("bob")}\`\n`,
  });
});

test("where the gateway and the profile are is said by option, environment or profile, in this order", async () => {
  const nobody = "http://127.0.0.1:1";
  const asked = (args: string[], env: Record<string, string>) =>
    cli.json(["status", ...args], { env }).then((it) => (it as { gateway: string }).gateway);
  const { gateway } = shop.urls;
  expect(await asked(["--gateway", gateway], { FLOTILLA_GATEWAY_URL: nobody })).toBe(gateway);
  expect(await asked(["--profile", "none"], { FLOTILLA_GATEWAY_URL: `${gateway}/` })).toBe(gateway);
  expect(await asked([], { FLOTILLA_GATEWAY_URL: "", FLOTILLA_PROFILE: "bob" })).toBe(gateway);
  const { code } = await cli.run(["status", "--timeout", "200ms"], { env: { FLOTILLA_GATEWAY_URL: nobody } });
  expect(code).toBe(6);
});

test("what reads no further is no error", async () => {
  const { spawnSync } = await import("node:child_process");
  const line = `"${process.execPath}" "${launcher}" completion bash | head -c 1; echo " \${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", line], { env: cli.env, encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: "# 0\n", stderr: "" });
});

test("what another gateway, a proxy or a flood answers is said in words", async () => {
  const answers: Record<string, [number, string]> = {
    "/none": [404, "<h1>Not found</h1>"],
    "/proxy": [502, "Bad Gateway"],
    "/limit": [429, '{"code":"resource_exhausted","message":"Too much","retryable":true,"retryAfterMs":120000}'],
    "/odd": [200, "not json"],
  };
  const url = await misbehaving(({ url: path = "" }, response) => {
    const [status, body] = answers[path.replace("/rpc/batch", "")] ?? [500, ""];
    response.writeHead(status).end(body);
  });
  const at = (path: string) =>
    cli.run(["login", "x", "--password-stdin", "--timeout", "2s", "--gateway", `${url}${path}`], { input: "y\n" });
  const [none, proxy, limit, odd] = await Promise.all(["/none", "/proxy", "/limit", "/odd"].map(at));
  expect(none).toMatchObject({ code: 6, err: expect.stringContaining("is no gateway of Flotilla (HTTP 404)") });
  expect(proxy).toMatchObject({ code: 6, err: expect.stringContaining("is away behind its proxy (HTTP 502)") });
  expect(limit).toEqual({ code: 6, out: "", err: "✗ Too much\n  Try again in 2 minutes\n" });
  expect(odd).toEqual({
    code: 6,
    out: "",
    err: `✗ ${url} is no gateway of Flotilla (HTTP 200)\n  Say where the gateway is with \`--gateway URL\`\n`,
  });
});

test("another service of the shop is no gateway, also to a command that logs in", async () => {
  const { users } = shop.urls;
  const ran = await cli.run(["login", "bob", "--password-stdin", "--gateway", users], { input: "password\n" });
  expect(ran).toMatchObject({
    code: 6,
    err: expect.stringContaining(`✗ ${users} is no gateway of Flotilla (HTTP 401)`),
  });
});

test("names cannot command the terminal", async () => {
  const { orderId } = (await cli.json(["order", "create", "\x1b[2Ja\x9b31m\u202e:1:1", ...bob])) as { orderId: string };
  const text = await cli.run(["order", "show", orderId, ...bob]);
  expect(text.out).toContain("\\x1b[2Ja\\x9b31m\\u202e");
  const json = await cli.run(["order", "show", orderId, "--json", ...bob]);
  expect(json.out).toMatch(/^[ -~]+\n$/);
  expect(JSON.parse(json.out).items[0].name).toBe("\x1b[2Ja\x9b31m\u202e");
});

test.each([
  [["ordr"], "✗ Unknown command 'ordr'\n  Did you mean order? See `flotilla --help`\n"],
  [["order", "lst"], "✗ Unknown command 'lst'\n  Did you mean list? See `flotilla order --help`\n"],
  [["order", "list", "--jsn"], "✗ Unknown option '--jsn'\n  Did you mean --json? See `flotilla order list --help`\n"],
  [["help", "nope"], "✗ Unknown command 'nope'\n  See `flotilla --help`\n"],
  [["order"], "✗ flotilla order needs a command\n  See `flotilla order --help`\n"],
  [["order", "show"], "✗ Missing required argument 'order'\n  See `flotilla order show --help`\n"],
  [["login", "x", "--no-input"], "✗ This has to ask, and --no-input was given\n  Use --password-stdin\n"],
  [["whoami", "--timeout", "soon"], '✗ --timeout takes a time such as 500ms, 10s or 2m, up to an hour; got "soon"\n'],
  [["whoami", "--gateway", "ftp://x"], '✗ The gateway has an address such as http://127.0.0.1:8080; got "ftp://x"\n'],
])("%j is a usage error that says what to do", async (args, err) => {
  const ran = await cli.run(args);
  expect(ran).toEqual({ code: 2, out: "", err: expect.stringContaining(err) });
});

test("help is there at each level, with examples, on stdout; so is the version", async () => {
  const [top, none, group, leaf, byHelp, version] = await Promise.all([
    ...[["--help"], [], ["order", "-h"], ["order", "create", "--help"], ["help", "order", "create"], ["--version"]].map(
      (args) => cli.run(args),
    ),
  ]);
  expect(top?.out).toMatch(/^Usage: flotilla <command> \[options\]\n[\s\S]*^ {2}order +Place, list/m);
  expect(none).toEqual(top);
  expect(group?.out).toMatch(/^Commands:\n {2}create +Place an order[\s\S]*^Examples:\n {2}flotilla order create/m);
  expect(leaf?.out).toMatch(/--idempotency-key <key>[\s\S]*^Examples:[\s\S]*^Options, for all commands:[\s\S]*--json/m);
  expect(byHelp).toEqual(leaf);
  expect(version?.out).toMatch(/^flotilla \d+\.\d+\.\d+\n$/);
  for (const ran of [top, group, leaf, version]) expect(ran).toMatchObject({ code: 0, err: "" });
});
