import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { serviceNames } from "../../shop/topology.ts";
import { type Processes, startProcesses } from "../process-harness.ts";
import { post, sendRaw, stolenHello } from "./hostile-http.ts";
import { callOf, type Door, doorsOf, errorOf, list, type Message, type Outcome } from "./hostile-peer.ts";
import { refusedStart } from "./spawn-service.ts";
import { refusalOf, resultOf } from "./verdict.ts";

// A system in production mode: its only account is the administrator's, with a password made at the first start.
let shop: Processes;
let adminPassword: string;
beforeAll(async () => {
  shop = await startProcesses({ mode: "production" });
  adminPassword = /password (\S+) \(shown this once\)/.exec(shop.output("users"))?.[1] ?? "";
});
afterAll(() => shop[Symbol.asyncDispose]());

const laptop = { name: "Laptop", quantity: 1, price: 999.99 };
const doors = () => doorsOf("gateway", shop.urls.gateway);
const innerDoors = (name: "users" | "orders") =>
  doorsOf(name, shop.urls[name], { headers: () => stolenHello(shop.dataDir, "gateway", name) });
const login = async (door: Door) =>
  (resultOf(await door.exchange(callOf("login", ["admin", adminPassword]))) as { token: string }).token;

describe("W16 a system in production", () => {
  test("W16 has no account with a password that anybody knows", async () => {
    expect(adminPassword).toMatch(/^[A-Za-z0-9_-]{24}$/);
    for (const username of ["alice", "bob", "charlie", "admin", "root", "user1"]) {
      for (const password of ["password", "admin", "", username]) {
        const [door] = doors();
        expect(refusalOf(await door!.exchange(callOf("login", [username, password])))).toBe("unauthenticated");
      }
    }
  });

  test("W16 does not start with a key or a directory that others can read, nor in a mode that is none", async () => {
    const env = { FLOTILLA_MODE: "production", FLOTILLA_USERS_PORT: "0" };
    const dataDir = mkdtempSync(join(tmpdir(), "flotilla-modes-"));
    try {
      const keys = join(dataDir, "keys");
      const first = await refusedStart("users", { ...env, FLOTILLA_DATA: dataDir });
      expect([first.code, existsSync(keys)], "it starts, and is killed").toEqual([null, true]);
      chmodSync(join(keys, "users.key"), 0o644);
      const second = await refusedStart("users", { ...env, FLOTILLA_DATA: dataDir });
      expect(second).toMatchObject({ code: 2, output: expect.stringContaining("readable by other users") });
      expect(second.output).not.toMatch(/PRIVATE|\s+at /);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
    expect((await refusedStart("users", { ...env, FLOTILLA_DATA: "/tmp" })).code).toBe(2);
    for (const mode of ["Production", "prod", "test", "staging"]) {
      expect((await refusedStart("users", { ...env, FLOTILLA_MODE: mode, FLOTILLA_DATA: dataDir })).code, mode).toBe(2);
    }
  });
});

/** All that a store wrote, its log included. */
function storeText(name: "users" | "orders"): string {
  const files = ["", "-wal"].map((suffix) => join(shop.dataDir, `${name}.db${suffix}`));
  return files.map((file) => (existsSync(file) ? readFileSync(file, "latin1") : "")).join("");
}

describe("W11 a secret", () => {
  test("W11 that was planted anywhere is found in no log, error, frame or store", async () => {
    const tokens = await Promise.all(doors().map(login));
    const canary = (what: string) => `canary-${what}-5d1e7c`;
    const [token = ""] = tokens;
    const answers: Outcome[] = [];
    const lines: (readonly (string | Message)[])[] = [
      ...["login", "getUserProfile", "listUsers", "listOrders", "nothing"].map((method) =>
        callOf(method, [canary("argument")]),
      ),
      callOf("login", ["admin", canary("password")]),
      callOf("login", [canary("username"), adminPassword]),
      callOf("cancelOrder", [token, canary("order")]),
      callOf("createOrder", [token, list({ ...laptop, quantity: canary("quantity") })]),
      callOf("createOrder", [token, list({ ...laptop, [canary("field")]: 1 })]),
      callOf(canary("method"), []),
      [canary("frame")],
      [
        ["push", ["pipeline", 0, [canary("path")], [["error", "Error", canary("error")]]]],
        ["pull", 1],
      ],
      [["abort", ["error", "Error", canary("abort"), canary("stack")]]],
      callOf("createOrder", [token, list(laptop)]),
      callOf("createOrder", [token, list(laptop), "a-key-of-mine"]),
      callOf("listOrders", [token]),
    ];
    for (const messages of lines) {
      for (const door of doors()) answers.push(await door.exchange(messages));
    }
    for (const name of ["users", "orders"] as const) {
      for (const door of innerDoors(name)) answers.push(await door.exchange(callOf("nothing", [canary("inner")])));
      for (const door of innerDoors("users")) {
        answers.push(await door.exchange(callOf("authenticate", ["admin", canary("inner")])));
        answers.push(await door.exchange(callOf("getUserByToken", [canary("inner")])));
      }
    }
    const headers = {
      authorization: `Bearer ${canary("bearer")}`,
      cookie: canary("cookie"),
      "flotilla-hello": canary("hello"),
    };
    const texts = await Promise.all(
      serviceNames.map(
        async (name) => (await post(`${shop.urls[name]}/rpc/batch?token=${canary("query")}`, { headers })).text,
      ),
    );
    texts.push(
      await sendRaw(shop.urls.gateway, `GET /${canary("path")} HTTP/1.1\r\nx: ${canary("header")}\r\nbroken\r\n\r\n`),
    );

    const said = JSON.stringify(answers) + texts.join("\n");
    const logged = serviceNames.map((name) => shop.output(name)).join("\n");
    const stored = storeText("users") + storeText("orders");
    const keys = serviceNames.map(
      (name) => readFileSync(join(shop.dataDir, "keys", `${name}.key`), "utf8").split("\n")[1]!,
    );
    // Each is where it belongs, so it would be seen where it does not: the hash of a password is in its column.
    expect(stored).toContain("$argon2id$");
    expect(logged.split(adminPassword)).toHaveLength(2);

    for (const text of [said, stored]) expect(text).not.toContain(adminPassword);
    for (const secret of [...tokens, ...keys]) {
      expect(keys.every((key) => key.length > 40)).toBe(true);
      for (const [where, text] of Object.entries({ said, logged, stored })) expect(text, where).not.toContain(secret);
    }
    expect(logged).not.toContain("canary");
    expect(stored).not.toContain("canary");
    // What was asked for is not said back either, but a field or a method that nobody knows is named.
    const named = ["field", "method", "path"].reduce((text, what) => text.replaceAll(canary(what), ""), said);
    expect(named).not.toContain("canary");
    expect(said).not.toContain("$argon2id$");
  });
});

describe.runIf(process.platform === "linux")("W13 a store that fails", () => {
  // Linux lets us take a process's right to make its files longer, and give it back.
  const limitFiles = (bytes: string) =>
    execFileSync("prlimit", ["--pid", String(shop.pidOf("orders")), `--fsize=${bytes}:`]);

  test("W13 is an error with a code, and the driver's words stay inside", async () => {
    const [door] = doors();
    const token = await login(door!);
    const order = callOf("createOrder", [token, list({ ...laptop, name: "canary-item-5d1e7c" })]);
    const outcomes: Outcome[] = [];
    limitFiles("1");
    try {
      for (const each of doors()) {
        for (let i = 0; i < 20; i += 1) outcomes.push(await each.exchange(order));
      }
    } finally {
      limitFiles("unlimited");
    }
    for (const { heard } of outcomes) {
      const answer = heard.find(([kind]) => kind === "reject");
      const error = errorOf(answer);
      expect(["unavailable", "internal"]).toContain(error?.code);
      expect(
        Object.keys(error?.fields ?? {}).filter(
          (key) => !["code", "retryable", "retryAfterMs", "reason", "requestId"].includes(key),
        ),
      ).toEqual([]);
      expect(JSON.stringify(answer)).not.toMatch(/sqlite|disk|EFBIG|errcode|\.db|\.ts|insert|canary/i);
    }
    const logged = shop.output("orders");
    expect(logged).not.toContain("canary");
    expect(Math.max(...logged.split("\n").map((line) => line.length))).toBeLessThanOrEqual(6_500);
    // It was the disk, and it passed; the circuit closes by itself.
    await vi.waitFor(async () => {
      expect(resultOf(await door!.exchange(order))).toMatchObject({ status: "pending" });
    }, 5_000);
  });
});
