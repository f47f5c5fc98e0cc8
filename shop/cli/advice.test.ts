import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { FlotillaError } from "@flotilla/kit";
import { RpcTarget } from "capnweb";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Answers, login, startFalseGateway } from "./fixtures/false-gateway.ts";
import { runCli } from "./run-cli.ts";

const home = mkdtempSync(join(tmpdir(), "flotilla-advice-"));
const accounts = [
  { id: "user2", username: "bob", role: "user" },
  // Made when an account could be called so.
  { id: "user7", username: "user2", role: "user" },
];
let heard: string[] = [];
let failure: FlotillaError | undefined;
let ready: Answers["ready"] = { status: 200, body: "" };
let gateway: Awaited<ReturnType<typeof startFalseGateway>>;

/** Knows two accounts, and does what it is told to the one of that id. */
class StandIn extends RpcTarget {
  findUser(_token: string, name: string) {
    heard.push(`findUser ${name}`);
    const found = accounts.find(({ username }) => username === name.toLowerCase());
    if (!found) throw new FlotillaError("not_found", "User not found");
    return found;
  }

  disableUser(_token: string, id: string) {
    heard.push(`disableUser ${id}`);
    return this.#record(id);
  }

  setRole(_token: string, id: string, role: string) {
    heard.push(`setRole ${id} ${role}`);
    if (role === "boss") throw new FlotillaError("not_found", "Role not found", { reason: "role_unknown" });
    return this.#record(id);
  }

  listOrders() {
    if (failure) throw failure;
    return [];
  }

  listAllOrders(_token: string, page: object) {
    heard.push(`listAllOrders ${JSON.stringify(page)}`);
    return [
      { orderId: "order1", total: 1, status: "pending", userId: "user2" },
      { orderId: "order2", total: 2, status: "pending", userId: "user3" },
    ];
  }

  #record(id: string) {
    const found = accounts.find((it) => it.id === id);
    if (!found) throw new FlotillaError("not_found", "User not found");
    return { ...found, email: "e@example.org", isEnabled: false, createdAt: 0 };
  }
}

beforeAll(async () => {
  gateway = await startFalseGateway(() => ({ main: new StandIn(), ready }));
  mkdirSync(join(home, "flotilla"), { mode: 0o700 });
  const file = join(home, "flotilla", "default.json");
  writeFileSync(file, JSON.stringify({ gateway: gateway.url, login }), { mode: 0o600 });
});
afterAll(() => {
  gateway.server.close();
  rmSync(home, { recursive: true });
});
beforeEach(() => {
  heard = [];
  failure = undefined;
});

async function flotilla(...args: string[]) {
  const said = { out: "", err: "" };
  const code = await runCli({
    args,
    env: { XDG_CONFIG_HOME: home },
    input: Readable.from([]),
    out: { write: (text: string) => (said.out += text) },
    err: { write: (text: string) => (said.err += text) },
    exit: () => undefined,
  });
  return { code, ...said };
}

test("an account is named by its name, of which the id is what is sent", async () => {
  expect(await flotilla("users", "disable", "Bob", "--yes")).toMatchObject({ code: 0, err: "" });
  expect(heard).toEqual(["findUser Bob", "disableUser user2"]);
});

test("a word that looks like an id is one, even when another account is called so", async () => {
  expect((await flotilla("users", "disable", "user2", "--yes", "--json")).out).toContain('"username":"bob"');
  expect(heard).toEqual(["disableUser user2"]);
  // An id has one spelling; in any other it is no name either.
  expect(await flotilla("users", "disable", "USER2", "--yes")).toMatchObject({ code: 4 });
  expect(heard).toEqual(["disableUser user2", "disableUser USER2"]);
});

test("nothing is done to an account that is not found", async () => {
  for (const word of ["nobody", "user99"]) {
    const { code, err } = await flotilla("users", "set-role", word, "moderator");
    expect({ code, err }).toEqual({
      code: 4,
      err: "✗ User not found\n  `flotilla users list` shows which there are, with their names and ids\n",
    });
  }
  expect(heard).toEqual(["findUser nobody", "setRole user99 moderator"]);
});

test("a role that is not there is looked for among the roles", async () => {
  expect(await flotilla("users", "set-role", "bob", "boss")).toEqual({
    ...{ code: 4, out: "" },
    err: "✗ Role not found\n  `flotilla roles list` shows which there are\n",
  });
});

test("staff list everybody's orders, or one user's by name, page by page", async () => {
  const table = /^ORDER +TOTAL +STATUS +USER\norder1 +\$1\.00 +pending +user2\norder2 +\$2\.00 +pending +user3\n$/;
  const all = await flotilla("order", "list", "--all", "--limit", "2");
  expect(all.out).toMatch(table);
  expect(all.err).toBe("There may be older ones: flotilla order list --all --before order1\n");
  const theirs = await flotilla("order", "list", "--user", "bob", "--limit", "2", "--before", "order9");
  expect(theirs.err).toBe("There may be older ones: flotilla order list --user bob --before order1\n");
  expect(heard).toEqual([
    'listAllOrders {"limit":2}',
    "findUser bob",
    'listAllOrders {"limit":2,"before":"order9","userId":"user2"}',
  ]);
});

test("when one service is down, the advice is to start that one, and not the whole shop", async () => {
  const message = "orders cannot be reached: nothing listens at its address";
  failure = new FlotillaError("unavailable", message, { reason: "connection_refused", retryable: false });
  const { code, err } = await flotilla("order", "list");
  expect({ code, err }).toEqual({
    code: 6,
    err: `✗ ${message}\n  The gateway runs; start orders with \`npm run orders\`. Under \`npm start\` it comes back by itself\n`,
  });
});

test("when no gateway is reached, `npm start` is the advice for this machine alone", async () => {
  const at = async (url: string) => (await flotilla("status", "--gateway", url, "--json")).err;
  expect(await at("http://127.0.0.1:1")).toContain("npm start");
  expect(await at("http://gateway.invalid:1")).not.toContain("npm start");
});

test("status names the services that do not answer, and for how long", async () => {
  const body = (status: string, waitsFor?: object[]) => JSON.stringify({ status, service: "gateway", waitsFor });
  const silent = [{ name: "users", forMs: 3_100 }, { name: "orders" }];
  const words = "users, which has not answered for 3 seconds; orders, which has not answered";
  ready = { status: 200, body: body("ready") };
  expect((await flotilla("status")).out).not.toContain("waits for");
  ready = { status: 503, body: body("unready", silent) };
  const { code, out } = await flotilla("status");
  expect(code).toBe(6);
  expect(out).toMatch(new RegExp(`^! unready\ngateway .*\nanswered in .*\nwaits for +${words}\n$`));
  const { error } = JSON.parse((await flotilla("status", "--json")).err) as { error: { message: string } };
  expect(error.message).toBe(`The gateway at ${gateway.url} is unready: it waits for ${words}`);
  // It still answers calls that go elsewhere.
  ready = { status: 200, body: body("ready", silent.slice(0, 1)) };
  expect(JSON.parse((await flotilla("status", "--json")).out)).toMatchObject({ waitsFor: [silent[0]] });
});
