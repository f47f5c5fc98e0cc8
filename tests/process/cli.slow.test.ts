import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandSpec } from "../../shop/cli/command.ts";
import { allCommands } from "../../shop/cli/commands.ts";
import { type Cli, makeCli, type RunOptions, tap, type Wiretap } from "../cli-harness.ts";
import { type Processes, startProcesses } from "../process-harness.ts";

/** One command in its three forms. Its text and its JSON come of two runs, so what each changes is its own. */
interface Case {
  readonly text: readonly [args: string, prints: RegExp];
  readonly json: readonly [args: string, holds: unknown];
  readonly fails: readonly [args: string, exitCode: number, code: string];
  readonly input?: string;
}

let shop: Processes;
let cli: Cli;
let way: Wiretap;
/** Not that of the running services: what is done to keys here would end their sessions. */
const keysDir = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
const backupsDir = mkdtempSync(join(tmpdir(), "flotilla-backups-"));

beforeAll(async () => {
  shop = await startProcesses();
  way = await tap(shop.urls.gateway);
  cli = makeCli({ FLOTILLA_GATEWAY_URL: way.url, FLOTILLA_DATA: keysDir });
  await Promise.all([cli.login("alice"), cli.login("bob")]);
  // What the cases below look at and do away with.
  await run("users create erin --email erin@example.org --password-stdin --profile alice", { input: longPassword });
  await run("users create finn --email finn@example.org --password-stdin --profile alice", { input: longPassword });
  await run("roles create packers order.view --profile alice");
  await run("roles create menders --profile alice");
  for (const name of ["users", "orders"]) await run(`keys create ${name}`);
  await run("order create Lamp:1:20 --profile bob");
  await run("order create Lamp:2:20 --profile bob");
});

afterAll(async () => {
  way.close();
  await shop[Symbol.asyncDispose]();
  cli[Symbol.dispose]();
  rmSync(keysDir, { recursive: true });
  rmSync(backupsDir, { recursive: true });
});

const longPassword = "correct horse battery staple\n";
const words = (line: string) => line.split(" ");
const run = (line: string, options?: RunOptions) => cli.run(words(line), options);
const time = expect.any(Number);
const id = expect.stringMatching(/^(user|order)\d+$/);

const asAlice = "--profile alice";
const asBob = "--profile bob";
const cases: Readonly<Record<string, Case>> = {
  login: {
    text: ["login charlie --password-stdin --profile c1", /^✓ Logged in as charlie \(user\) at http:\/\/[\d.:]+\n$/],
    json: ["login charlie --password-stdin --profile c2", { userId: "user3", profile: "c2", expiresAt: time }],
    fails: ["login nobody --password-stdin --profile c3", 3, "unauthenticated"],
    input: "password\n",
  },
  logout: {
    text: ["logout --profile c1", /^✓ Logged out\n$/],
    json: ["logout --everywhere --yes --profile c2", { ended: expect.any(Number) }],
    fails: ["logout --everywhere --profile c1", 2, "invalid_argument"],
  },
  whoami: {
    text: [`whoami ${asBob}`, /^user +bob\nrole +user\nid +user2\ngateway +http.*\nprofile +bob\nlogged in until/],
    json: [`whoami ${asBob}`, { username: "bob", email: "bob@example.com", profile: "bob", refreshExpiresAt: time }],
    fails: ["whoami --profile nobody", 3, "unauthenticated"],
  },
  "profile show": {
    text: [`profile show ${asBob}`, /^id +user2\nusername +bob\nemail +bob@example\.com\nrole +user\n$/],
    json: [`profile show ${asBob}`, { userId: "user2", username: "bob", email: "bob@example.com", role: "user" }],
    fails: ["profile show --profile nobody", 3, "unauthenticated"],
  },
  "profile edit": {
    text: [`profile edit --email a@example.org ${asAlice}`, /^email +a@example\.org$/m],
    json: [`profile edit --email a@example.org ${asAlice}`, { email: "a@example.org" }],
    fails: [`profile edit --email nonsense ${asAlice}`, 2, "invalid_argument"],
  },
  "password change": {
    text: ["password change --password-stdin --profile erin", /^✓ Password changed; your other logins have ended\n$/],
    json: ["password change --password-stdin --profile finn", { userId: id, username: "finn" }],
    fails: [`password change --password-stdin ${asBob}`, 3, "unauthenticated"],
    input: `${longPassword}another horse battery staple\n`,
  },
  "sessions list": {
    text: [`sessions list ${asAlice}`, /^SESSION +LOGGED IN +LAST USED +UNTIL\n[0-9a-f]{32} .* this one\n/],
    json: [`sessions list ${asBob}`, [{ sessionId: expect.any(String), createdAt: time, isThisOne: true }]],
    fails: ["sessions list --profile nobody", 3, "unauthenticated"],
  },
  "sessions end": {
    text: [`sessions end SESSION1 ${asAlice}`, /^✓ Session [0-9a-f]{32} ended\n$/],
    json: [`sessions end SESSION2 ${asAlice}`, { sessionId: expect.any(String), ended: 1 }],
    fails: [`sessions end none ${asBob}`, 4, "not_found"],
  },
  "sessions renew": {
    text: [`sessions renew ${asAlice}`, /^✓ Logged in until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$/],
    json: [`sessions renew ${asBob}`, { expiresAt: time, refreshExpiresAt: time }],
    fails: ["sessions renew --profile nobody", 3, "unauthenticated"],
  },
  "order create": {
    text: [
      `order create Laptop:1:999.99 A:mouse:2:29.99 ${asBob}`,
      /^✓ Order placed\norder +order\d+\ntotal +\$1059\.97\n/,
    ],
    json: [
      `order create Laptop:1:999.99 --idempotency-key k1 ${asBob}`,
      { orderId: id, total: 999.99, idempotencyKey: "k1" },
    ],
    fails: [`order create Laptop:0:1 ${asBob}`, 2, "invalid_argument"],
  },
  "order list": {
    text: [`order list ${asBob}`, /^ORDER +TOTAL +STATUS\norder1 +\$20\.00 +pending\norder2 +\$40\.00 +pending\n/],
    json: [`order list --user bob --before order2 ${asAlice}`, [{ orderId: "order1", userId: "user2", total: 20 }]],
    fails: [`order list --all ${asBob}`, 3, "permission_denied"],
  },
  "order show": {
    text: [
      `order show order1 ${asBob}`,
      /^order +order1\nuser +user2\n[\s\S]*\n\nITEM +QUANTITY +PRICE\nLamp +1 +\$20\.00\n$/,
    ],
    json: [
      `order show order1 ${asAlice}`,
      { orderId: "order1", userId: "user2", items: [{ name: "Lamp", quantity: 1, price: 20 }] },
    ],
    fails: [`order show order99 ${asBob}`, 4, "not_found"],
  },
  "order cancel": {
    text: [`order cancel order1 ${asAlice}`, /^✓ Order order1 is cancelled\n$/],
    json: [`order cancel order2 ${asAlice}`, { orderId: "order2", status: "cancelled" }],
    fails: [`order cancel order1 ${asBob}`, 3, "permission_denied"],
  },
  "users list": {
    text: [`users list ${asBob}`, /^ID +USERNAME +ROLE\nuser1 +alice +admin\nuser2 +bob +user\n/],
    json: [
      `users list --details ${asAlice}`,
      expect.arrayContaining([expect.objectContaining({ isEnabled: true, createdAt: time })]),
    ],
    fails: [`users list --details ${asBob}`, 3, "permission_denied"],
  },
  "users create": {
    text: [
      `users create gina --email g@example.org --password-stdin ${asAlice}`,
      /^id +user\d+\nusername +gina\n[\s\S]*state +enabled\n/,
    ],
    json: [
      `users create hugo --email h@example.org --role moderator --password-stdin ${asAlice}`,
      { id, role: "moderator" },
    ],
    fails: [`users create bob --email b@example.org --password-stdin ${asAlice}`, 5, "already_exists"],
    input: longPassword,
  },
  "users disable": {
    text: [`users disable erin --yes ${asAlice}`, /^username +erin\n[\s\S]*^state +disabled\n/m],
    json: [`users disable user5 --yes ${asAlice}`, { id: "user5", isEnabled: false }],
    fails: [`users disable user4 ${asAlice}`, 2, "invalid_argument"],
  },
  "users enable": {
    text: [`users enable Erin ${asAlice}`, /^state +enabled\n/m],
    json: [`users enable user5 ${asAlice}`, { id: "user5", isEnabled: true }],
    fails: [`users enable user99 ${asAlice}`, 4, "not_found"],
  },
  "users set-role": {
    text: [`users set-role erin moderator ${asAlice}`, /^role +moderator\n/m],
    json: [`users set-role user5 moderator ${asAlice}`, { id: "user5", role: "moderator" }],
    fails: [`users set-role user1 user ${asAlice}`, 5, "failed_precondition"],
  },
  "users delete": {
    text: [`users delete erin --yes ${asAlice}`, /^✓ erin \(user4\) was deleted\n$/],
    json: [`users delete user5 --yes ${asAlice}`, { id: "user5", deleted: true }],
    fails: [`users delete user99 --yes ${asAlice}`, 4, "not_found"],
  },
  "roles list": {
    text: [`roles list ${asAlice}`, /^ROLE +PERMISSIONS\n[\s\S]*^user +order\.create order\.view profile\.edit$/m],
    json: [`roles list ${asAlice}`, expect.arrayContaining([{ name: "packers", permissions: ["order.view"] }])],
    fails: [`roles list ${asBob}`, 3, "permission_denied"],
  },
  "roles create": {
    text: [
      `roles create buyers order.create order.view ${asAlice}`,
      /^role +buyers\npermissions +order\.create order\.view\n$/,
    ],
    json: [`roles create idlers ${asAlice}`, { name: "idlers", permissions: [] }],
    fails: [`roles create user ${asAlice}`, 5, "already_exists"],
  },
  "roles set-permissions": {
    text: [`roles set-permissions packers --yes ${asAlice}`, /^role +packers\npermissions +none\n$/],
    json: [`roles set-permissions menders order.view ${asAlice}`, { name: "menders", permissions: ["order.view"] }],
    fails: [`roles set-permissions menders no.such --yes ${asAlice}`, 2, "invalid_argument"],
  },
  "roles delete": {
    text: [`roles delete packers --yes ${asAlice}`, /^✓ The role packers was deleted\n$/],
    json: [`roles delete menders --yes ${asAlice}`, { name: "menders", deleted: true }],
    fails: [`roles delete user --yes ${asAlice}`, 5, "failed_precondition"],
  },
  audit: {
    text: [`audit --limit 3 ${asAlice}`, /^ *NO +AT +EVENT +BY +TO +DETAIL\n(?: *\d+ .*\n){3}$/],
    json: [
      `audit --user bob ${asAlice}`,
      { entries: expect.arrayContaining([expect.objectContaining({ subjectId: "user2" })]) },
    ],
    fails: [`audit --orders ${asBob}`, 3, "permission_denied"],
  },
  status: {
    text: ["status", /^✓ ready\ngateway +http.*\nanswered in +\d+ ms\n$/],
    json: [
      `status --details ${asAlice}`,
      {
        version: "0.1.0",
        destinations: ["users", "orders"].map((name) => expect.objectContaining({ name, refused: 0 })),
      },
    ],
    fails: ["status --gateway http://127.0.0.1:1 --timeout 300ms", 6, "unavailable"],
  },
  "keys list": {
    text: ["keys list", /^(?:(?:orders|users) +[\w-]{43} +current .*\n){2}$/],
    json: ["keys list", expect.arrayContaining([expect.objectContaining({ name: "users", state: "current" })])],
    fails: ["keys list more", 2, "invalid_argument"],
  },
  "keys show": {
    text: ["keys show users", /^users +[\w-]{43}\n$/],
    json: ["keys show users", [{ name: "users", key: expect.any(String) }]],
    fails: ["keys show nobody", 5, "failed_precondition"],
  },
  "keys create": {
    text: ["keys create users", /^users +[\w-]{43}\n$/],
    json: ["keys create users", [{ name: "users", key: expect.any(String) }]],
    fails: ["keys create", 2, "invalid_argument"],
  },
  "keys trust": {
    text: ["keys trust orders KEY", /^orders +[\w-]{43}\n$/],
    json: ["keys trust orders KEY", [{ name: "orders", key: expect.any(String) }]],
    fails: ["keys trust orders", 2, "invalid_argument"],
  },
  "keys rotate": {
    text: ["keys rotate users", /^users +[\w-]{43}\n$/],
    json: ["keys rotate users", [{ name: "users", key: expect.any(String) }]],
    fails: ["keys rotate", 2, "invalid_argument"],
  },
  "keys revoke": {
    text: ["keys revoke spare KEY --yes", /^spare +[\w-]{43}\n$/],
    json: ["keys revoke spare OTHER --yes", [{ name: "spare", key: expect.any(String) }]],
    fails: ["keys revoke nobody --yes", 5, "failed_precondition"],
  },
  backup: {
    text: ["backup TO1 --data DATA1", /^✓ Backed up .* to .*: \d+ files, [\d.]+ MiB, verified\n$/],
    json: ["backup TO2 --data DATA2", { directory: expect.stringContaining("to2"), bytes: expect.any(Number) }],
    fails: ["backup FROM --data DATA1", 5, "already_exists"],
  },
  restore: {
    text: ["restore FROM --data NEW1", /^✓ Restored .* from the backup of .*: \d+ files, [\d.]+ MiB, verified\n$/],
    json: ["restore FROM --data DATA1 --yes", { replaced: expect.stringContaining("replaced-") }],
    fails: ["restore NEW2 --data NEW2", 4, "not_found"],
  },
  "new-store": {
    text: ["new-store orders --data DATA1 --yes", /^✓ The next start of orders counts as the first\n$/],
    json: ["new-store users orders --data DATA2 --yes", { replaced: expect.stringContaining("replaced-") }],
    fails: ["new-store users --data TO1 --yes", 4, "not_found"],
  },
  demo: {
    text: ["demo", /=== Demo Complete ===\n/],
    json: ["demo", { lines: expect.arrayContaining(["=== Demo Complete ==="]) }],
    fails: ["demo extra", 2, "invalid_argument"],
  },
  repl: {
    text: [`repl ${asBob}`, /^\{\n {2}userId: 'user2',\n/],
    json: [`repl ${asBob}`, { userId: "user2", username: "bob" }],
    fails: ["repl --gateway http://127.0.0.1:1", 6, "unavailable"],
    input: "await gateway.getUserProfile(token)\n",
  },
  completion: {
    text: ["completion fish", /^complete -c flotilla -f -n '__flotilla_at "order"' -a 'create'/m],
    json: ["completion zsh", { shell: "zsh", script: expect.stringContaining("#compdef flotilla") }],
    fails: ["completion tcsh", 2, "invalid_argument"],
  },
  help: {
    text: ["help exit-codes", /^CODE +NAME +MEANING\n[\s\S]* 130 +interrupted/],
    json: ["help exit-codes", expect.arrayContaining([expect.objectContaining({ code: 124, name: "timeout" })])],
    fails: ["help nonsense", 2, "invalid_argument"],
  },
};

const leaves = (spec: CommandSpec, path = spec.name): string[] =>
  spec.commands?.flatMap((child) => leaves(child, `${path} ${child.name}`)) ?? [path];
const commands = (await allCommands()).flatMap((spec) => leaves(spec));

/** What a command says that it calls. */
const calls = new Map((await allCommands()).flatMap((spec) => callsOf(spec)));
function callsOf(spec: CommandSpec, path = spec.name): [path: string, methods: string[]][] {
  const own = (spec.calls ?? []).map((method) => method.split(".")[1] ?? "");
  return [[path, own], ...(spec.commands ?? []).flatMap((child) => callsOf(child, `${path} ${child.name}`))];
}

test("every command is looked at below", () => {
  expect(Object.keys(cases).sort()).toEqual(commands.toSorted());
});

describe("in text, in JSON and when it fails:", () => {
  test.each(Object.entries(cases))("flotilla %s", async (name, { text, json, fails, input = "" }) => {
    const known = await placeholders(name);
    way.heard();
    const [inText, inJson, failing] = await Promise.all([
      cli.run(fill(text[0], known), { input }),
      cli.run([...fill(json[0], known), "--json"], { input }),
      cli.run([...fill(fails[0], known), "--json"], { input }),
    ]);
    expect(way.heard()).toEqual(expect.arrayContaining(calls.get(name) ?? []));
    expect(inText).toEqual({ code: 0, out: expect.stringMatching(text[1]), err: expect.not.stringContaining("✗") });
    expect(inText.out).not.toContain("\x1b");
    expect({ ...inJson, out: JSON.parse(inJson.out) }).toEqual({ code: 0, err: "", out: holding(json[1]) });
    expect({ ...failing, err: JSON.parse(failing.err) }).toEqual({
      ...{ code: fails[1], out: "" },
      err: { error: expect.objectContaining({ code: fails[2], exitCode: fails[1], message: expect.any(String) }) },
    });
  });
});

function holding(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(holding);
  const isPlain = typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  return isPlain ? expect.objectContaining(value) : value;
}

/** What the cases name that is known only when the system runs. */
async function placeholders(name: string): Promise<Readonly<Record<string, string>>> {
  if (name === "password change") {
    for (const user of ["erin", "finn"])
      await run(`login ${user} --password-stdin --profile ${user}`, { input: longPassword });
  }
  if (name === "sessions end") {
    await Promise.all([1, 2].map((n) => run(`login alice --password-stdin --profile a${n}`, { input: "password\n" })));
    const list = (await cli.json(words(`sessions list ${asAlice}`))) as { sessionId: string; isThisOne: boolean }[];
    const [SESSION1 = "", SESSION2 = ""] = list.filter(({ isThisOne }) => !isThisOne).map(({ sessionId }) => sessionId);
    return { SESSION1, SESSION2 };
  }
  if (/^(backup|restore|new-store)$/.test(name)) return await backedUp(mkdtempSync(join(backupsDir, "case-")));
  if (!/^keys (trust|revoke)$/.test(name)) return {};
  const keyOf = async (line: string) => ((await cli.json(words(line))) as { key: string }[])[0]?.key ?? "";
  if (name === "keys trust") return { KEY: await keyOf("keys show users") };
  return { KEY: await keyOf("keys create spare"), OTHER: await keyOf("keys rotate spare") };
}

/** A backup of the running shop, and two data directories made from it. */
async function backedUp(directory: string): Promise<Readonly<Record<string, string>>> {
  const at = (name: string) => join(directory, name);
  const env = { FLOTILLA_USERS_URL: shop.urls.users, FLOTILLA_ORDERS_URL: shop.urls.orders };
  await run(`backup ${at("from")} --data ${shop.dataDir}`, { env });
  for (const name of ["data1", "data2"]) await run(`restore ${at("from")} --data ${at(name)}`);
  const names = ["from", "data1", "data2", "to1", "to2", "new1", "new2"];
  return Object.fromEntries(names.map((name) => [name.toUpperCase(), at(name)]));
}

function fill(line: string, known: Readonly<Record<string, string>>): string[] {
  return words(line).map((word) => known[word] ?? word);
}
