import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "./free-port.ts";
import { runInShell } from "./npm.ts";
import { until } from "./process-harness.ts";
import { copyFiles } from "./repository-copy.ts";
import { killGroup, type Program } from "./run-program.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Nobody listens there, and nothing is in the cache. */
const noRegistry = { npm_config_registry: "http://127.0.0.1:1", npm_config_fetch_retries: "0" };
const production = { NODE_ENV: "production" };
/** Installs on a busy machine. Milliseconds. */
const patienceMs = 400_000;

let clone = "";
let running: Program[] = [];
afterEach(() => {
  for (const each of running) killGroup(each);
  running = [];
});

function run(command: string, env: Readonly<Record<string, string>> = {}): Program {
  const its = runInShell(command.split(" "), { cwd: clone, env: { FLOTILLA_DATA: join(clone, "data"), ...env } });
  running.push(its);
  return its;
}

function makeClone(): void {
  clone = mkdtempSync(join(tmpdir(), "flotilla-clone-"));
  copyFiles(root, clone);
}

const removeClone = () => rmSync(clone, { recursive: true, force: true, maxRetries: 3 });
const installed = () => statSync(join(clone, "node_modules"));
const has = (name: string) => readdirSync(join(clone, "node_modules")).includes(name);
const leftovers = () => readdirSync(clone).filter((name) => name.startsWith(".setup"));
const lockFile = () => readFileSync(join(clone, "package-lock.json"), "utf8");

describe("an install without development packages", { timeout: patienceMs }, () => {
  beforeAll(async () => {
    makeClone();
    expect(await run("npm ci", production).ended).toMatchObject({ code: 0 });
  }, patienceMs);
  afterAll(removeClone);

  test("is one: nothing is installed, the first time and the second", async () => {
    const before = installed();
    for (const env of [production, { npm_config_omit: "dev" }, {}]) {
      const { code, output } = await run("npm run gateway -- --print-config", env).ended;
      expect({ code, output }).toEqual({ code: 0, output: expect.not.stringContaining("Installing") });
      expect(output).toContain('"service": "gateway"');
    }
    expect(installed().ino).toBe(before.ino);
    expect(has("vitest")).toBe(false);
  });

  test("runs without the registry, and an install that fails leaves it as it was", async () => {
    const before = installed();
    expect(await run("npm run -s keys -- list", noRegistry).ended).toEqual({ code: 0, output: "\n" });
    const cache = { npm_config_cache: join(clone, "no-cache"), npm_config_prefer_offline: "false" };
    const { code, output } = await run("npm run -s docs", { ...noRegistry, ...cache }).ended;
    expect(code).toBe(1);
    expect(output).toMatch(/npm ci failed \(1\); node_modules is as it was. Nothing was started.\n$/);
    expect(installed().ino).toBe(before.ino);
    expect(leftovers()).toEqual([]);
  });

  test("gets what native parts it lacks, whatever npm's settings leave out", async () => {
    const parts = join(clone, "node_modules", "@node-rs");
    for (const name of readdirSync(parts).filter((it) => it !== "argon2"))
      rmSync(join(parts, name), { recursive: true });
    for (const name of readdirSync(join(clone, "node_modules")).filter((it) => /^node-(linux|darwin|win)-/.test(it))) {
      rmSync(join(clone, "node_modules", name), { recursive: true });
    }
    const before = lockFile();
    const env = { npm_config_omit: "dev\n\noptional", npm_config_ignore_scripts: "true" };
    const { code, output } = await run("npm run -s gateway -- --print-config", env).ended;
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringMatching(/^Installing dependencies \(missing: /),
    });
    expect(readdirSync(parts).length).toBeGreaterThan(1);
    expect(has("vitest")).toBe(false);
    expect(lockFile()).toBe(before);
  });

  test("gets development packages beside a service that runs from it, and keeps them", async () => {
    const port = String(await freePort());
    const service = run("npm run users", { ...production, FLOTILLA_USERS_PORT: port });
    await service.says(/Press Ctrl\+C to stop/);
    expect(await run("node scripts/setup.js --dev", production).ended).toMatchObject({ code: 0 });
    expect(has("vitest")).toBe(true);
    // A login loads what was not loaded yet.
    const body = '["push",["pipeline",0,["login"],["bob","password"]]]\n["pull",1]';
    const answer = await fetch(`http://127.0.0.1:${port}/rpc/batch`, { method: "POST", body });
    expect(await answer.text()).toContain("unauthenticated");
    service.child.kill("SIGTERM");
    expect((await service.ended).code).toBe(0);
    const { ino } = installed();
    expect(await run("node scripts/setup.js", production).ended).toEqual({ code: 0, output: "" });
    expect(installed().ino).toBe(ino);
    expect(leftovers()).toEqual([]);
  });
});

describe("a fresh clone", { timeout: patienceMs }, () => {
  beforeEach(makeClone);
  afterEach(removeClone);

  test("three terminals at once: one installs, and all come up, also after an install that was killed", async () => {
    // `ignore-scripts` keeps npm from running `pre` scripts, too.
    const env = { ...production, npm_config_ignore_scripts: "true" };
    const killed = run("npm run -s keys -- list", env);
    await killed.says(/Installing dependencies \(once\)/);
    await until(() => leftovers().length > 1, "the install has begun");
    killGroup(killed);
    await killed.ended;
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const [users = 0, orders = 0, gateway = 0] = ports;
    const places = {
      FLOTILLA_USERS_PORT: String(users),
      FLOTILLA_ORDERS_PORT: String(orders),
      FLOTILLA_GATEWAY_PORT: String(gateway),
    };
    const services = ["users", "orders", "gateway"].map((name) => run(`npm run ${name}`, { ...env, ...places }));
    await Promise.all(services.map((service) => service.says(/Press Ctrl\+C to stop/)));
    for (const port of ports) {
      await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, `${port} is ready`);
    }
    const said = services.map((service) => service.output()).join("");
    expect(said.match(/^Installing dependencies/gm)).toHaveLength(1);
    expect(said.match(/^Waiting for process \d+, which is installing dependencies/gm)?.length).toBeGreaterThan(0);
    expect(leftovers()).toEqual([]);
    for (const service of services) service.child.kill("SIGTERM");
    for (const service of services) expect((await service.ended).code).toBe(0);
  });
});
