import { afterAll, beforeAll, expect, test } from "vitest";
import { type Cli, makeCli, type Ran } from "../cli-harness.ts";
import { type Processes, startProcesses, untilEqual } from "../process-harness.ts";

let shop: Processes;
let cli: Cli;
let atRest: unknown;

beforeAll(async () => {
  shop = await startProcesses();
  cli = makeCli({ FLOTILLA_GATEWAY_URL: shop.urls.gateway });
  await Promise.all([cli.login("alice"), cli.login("bob")]);
  atRest = await heldByGateway();
});

afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  cli[Symbol.dispose]();
});

/** What clients hold of the gateway. */
async function heldByGateway() {
  return (await shop.stats("gateway")).server;
}

/** A session that a program writes; afterwards nobody holds anything of it. */
async function repl(lines: readonly string[], args: readonly string[] = ["--profile", "alice"]): Promise<Ran> {
  const ran = await cli.run(["repl", ...args], { input: `${lines.join("\n")}\n` });
  await untilEqual(heldByGateway, atRest);
  return ran;
}

test("a capability is held by name, called, looked at and let go, and no secret is shown", async () => {
  const { code, out, err } = await repl([
    "const me = await gateway.account(token)",
    "me",
    "me.createOrder",
    "(await me.profile()).username",
    "const { orderId } = await me.createOrder([{ name: 'Lamp', quantity: 1, price: 20 }])",
    "(await me.orders()).map((order) => order.orderId).includes(orderId)",
    "const office = await me.administration()",
    "why(office)",
    "caps()",
    "revoke(me)",
    "caps().length",
  ]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out.split("\n").slice(0, 4)).toEqual([
    "[Account #1: 13 methods]",
    "createOrder(items, idempotencyKey?)",
    "'alice'",
    "true",
  ]);
  expect(out).toMatch(/^capability +Administration #2$/m);
  expect(out).toContain(`hosted at    the gateway, ${shop.urls.gateway}, session 1`);
  expect(out).toMatch(/^obtained by {2}gateway\.account\(…[\w-]{8}\)\.administration\(\)$/m);
  expect(out).toMatch(/^out of +#1$/m);
  expect(out).toMatch(/^methods +createUser\(user\), .*audit\(page\?\)$/m);
  expect(out).toMatch(/^#1 +Account +held +[\d: -]+ +gateway\.account\(…[\w-]{8}\)$/m);
  expect(out).toMatch(/\{ letGo: 2 \}\n1\n$/);
  expect(out).not.toMatch(/eyJ|[\w-]{24}\./);
});

test("calls on what has not come yet travel along, and looking at it asks for nothing", async () => {
  const { code, out, err } = await repl([
    "gateway.account('of nobody')",
    "const office = gateway.account(token).administration()",
    "office",
    "(await office.listRoles()).map((role) => role.name).join()",
    "String(await office)",
    "gateway.getUserProfile(token)",
    "JSON.stringify(gateway)",
    "revoke(1)",
  ]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out.trim().split("\n")).toEqual([
    "[promise of Account #1: 13 methods]",
    "[promise of Administration #3: 11 methods]",
    "'admin,moderator,user'",
    "'[Administration #3: 11 methods]'",
    "[promise of getUserProfile(): await it]",
    "'{}'",
    "{ letGo: 1 }",
  ]);
});

test("what fails says its code on stderr, the next line runs, and the program has failed", async () => {
  const { code, out, err } = await repl(
    [
      "const me = await account()",
      "await me.cancelOrder('order99')",
      "await (await me.administration()).listRoles()",
      "await me.createOrder([{ name: 'Lamp', quantity: 0, price: 20 }])",
      "await me.createOrder(gateway)",
      "revoke(me)",
      "me.profile()",
      "const = 1",
      "nonsense",
      "why(1)",
      "throw new Error('\\x1b[31m')",
      "const error = await gateway.account('x').catch((thrown) => thrown); [error.code, error.message]",
      "function twice(n) {",
      "  return 2 * n",
      "}",
      "twice(21)",
    ],
    ["--profile", "bob"],
  );
  expect(code).toBe(1);
  expect(out).toBe("{ letGo: 2 }\n[ 'unauthenticated', 'Invalid or expired token' ]\n42\n");
  expect(err.trim().split("\n")).toEqual([
    "permission_denied: You don't have permission to cancel orders",
    "permission_denied: You don't have the permission system.admin (reason permission_missing)",
    "invalid_argument: items[0].quantity must be >= 1",
    "invalid_argument: createOrder takes no capability",
    "permission_denied: This capability was let go (reason let_go)",
    "SyntaxError: Unexpected token '='",
    "ReferenceError: nonsense is not defined",
    "invalid_argument: This is no capability; caps() shows which are held",
    "Error: \\x1b[31m",
  ]);
});

test("in JSON each answer is a line, and each error too", async () => {
  const { code, out, err } = await repl(
    ["await (await account()).profile()", "await account()", "await gateway.getOrder(token, 'order99')"],
    ["--profile", "bob", "--json"],
  );
  expect(code).toBe(1);
  expect(
    out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { userId: "user2", username: "bob", email: "bob@example.com", role: "user" },
    { capability: "[Account #2: 13 methods]" },
  ]);
  expect(JSON.parse(err)).toEqual({ error: expect.objectContaining({ code: "not_found", exitCode: 4 }) });
});

test("a login made in a session ends with it, and is not kept", async () => {
  const before = await cli.json(["sessions", "list", "--profile", "alice"]);
  const { code, out } = await repl(
    ["await login('alice', 'password')", "(await (await account()).sessions()).length"],
    ["--profile", "nobody"],
  );
  expect({ code, out }).toEqual({
    code: 0,
    out: `{ userId: 'user1', username: 'alice', role: 'admin' }\n${(before as unknown[]).length + 1}\n`,
  });
  expect(await cli.json(["sessions", "list", "--profile", "alice"])).toHaveLength((before as unknown[]).length);
  expect(await cli.run(["whoami", "--profile", "nobody"])).toMatchObject({ code: 3 });
});

test("who is not logged in is told how; where no gateway is, nothing begins", async () => {
  const { code, err } = await repl(["await account()", "token"], ["--profile", "nobody"]);
  expect({ code, err }).toEqual({
    code: 1,
    err: 'unauthenticated: You are not logged in; try await login("alice")\n'.repeat(2),
  });
  const away = await cli.run(["repl", "--gateway", "http://127.0.0.1:1", "--json"], { input: "1 + 1\n" });
  expect({ ...away, err: JSON.parse(away.err) }).toEqual({
    ...{ code: 6, out: "" },
    err: { error: expect.objectContaining({ code: "unavailable", hint: expect.stringContaining("npm start") }) },
  });
});

test("a capability whose login has ended says so, to whoever holds it", async () => {
  const { out, err } = await repl([
    "await login('charlie', 'password')",
    "const [mine, other] = [await account(), await account()]",
    "await mine.logout()",
    "await other.profile()",
  ]);
  expect(out).toContain("{ ended: 1 }");
  expect(err).toContain("(reason revoked)");
});
