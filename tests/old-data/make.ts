// `node tests/old-data/make.ts CHECKOUT NAME`: has the shop of CHECKOUT make data directories, and keeps them here as NAME.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { choosePorts } from "../../shop/supervisor/ports.ts";
import { eachService, type Mode } from "../../shop/topology.ts";

const [checkout = "", name = ""] = process.argv.slice(2);
if (checkout === "" || !/^[\w.-]+$/.test(name)) throw new Error("node tests/old-data/make.ts CHECKOUT NAME");
const home = mkdtempSync(join(tmpdir(), "flotilla-old-data-"));
const target = fileURLToPath(new URL(name, import.meta.url));
rmSync(target, { recursive: true, force: true });
try {
  for (const mode of ["development", "production"] as const) await make(mode);
} finally {
  rmSync(home, { recursive: true });
}

async function make(mode: Mode): Promise<void> {
  const dataDir = join(home, mode);
  const { gateway, users, orders } = await choosePorts({
    mode,
    host: "127.0.0.1",
    dataDir,
    ports: eachService(() => 0),
  });
  const ports = {
    FLOTILLA_GATEWAY_PORT: String(gateway[0]!.ports.gateway),
    FLOTILLA_USERS_PORT: String(users[0]!.ports.users),
    FLOTILLA_ORDERS_PORT: String(orders[0]!.ports.orders),
  };
  const places = { PATH: process.env.PATH, HOME: home, FLOTILLA_DATA: dataDir, FLOTILLA_MODE: mode };
  const gatewayUrl = `http://127.0.0.1:${ports.FLOTILLA_GATEWAY_PORT}`;
  const env = { ...places, FLOTILLA_GATEWAY_URL: gatewayUrl };

  const started = await start({ ...places, ...ports });
  const admin =
    mode === "development"
      ? { name: "alice", password: "password" }
      : { name: "admin", password: /password (\S+)/.exec(started.output())?.[1] ?? "" };
  const run = (as: string, words: string, input = "") => flotilla([...words.split(" "), "--profile", as], env, input);
  const logIn = (who: string, password: string) => run(who, `login ${who} --password-stdin`, `${password}\n`);
  const order = (who: string, item: string) => run(who, `order create ${item}`);

  logIn(admin.name, admin.password);
  const create = (who: string, password: string) =>
    run(admin.name, `users create ${who} --email ${who}@example.com --password-stdin --quiet`, `${password}\n`).trim();
  create("dora", "a horse in the rain");
  const emil = create("emil", "a cow upon the ice");
  logIn("dora", "a horse in the rain");
  logIn("emil", "a cow upon the ice");
  order("dora", "Laptop:1:999.99");
  order("dora", "Mouse:2:29.99");
  order(admin.name, "Keyboard:1:79.50");
  if (mode === "development") {
    logIn("bob", "password");
    order("bob", "Cable:3:4.99");
  }
  run(admin.name, "order show order1");
  run(admin.name, "order cancel order2 --yes");
  run("emil", "logout");
  run(admin.name, `users disable ${emil} --yes`);
  run(admin.name, "keys rotate gateway");
  run(admin.name, "keys revoke gateway --yes");
  await started.stop();
  keep(dataDir, mode);
  if (mode === "production") writeFileSync(join(target, "production.admin-password"), `${admin.password}\n`);
}

/** Everything the directory has, each store as one file. */
function keep(dataDir: string, mode: Mode): void {
  for (const store of ["users.db", "orders.db"]) {
    using db = new DatabaseSync(join(dataDir, store));
    db.exec("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE; VACUUM");
  }
  mkdirSync(target, { recursive: true });
  cpSync(dataDir, join(target, mode), { recursive: true });
}

async function start(env: NodeJS.ProcessEnv): Promise<{ output(): string; stop(): Promise<void> }> {
  const entry = join(resolve(checkout), "shop/start.ts");
  const child = spawn(process.execPath, [entry], { env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8");
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    output += text;
    if (output.includes("Press Ctrl+C to stop")) break;
  }
  child.stdout.resume();
  return {
    output: () => output,
    async stop() {
      const closed = once(child, "close");
      child.kill("SIGINT");
      await closed;
    },
  };
}

function flotilla(args: readonly string[], env: NodeJS.ProcessEnv, input: string): string {
  const program = join(resolve(checkout), "shop/cli/launch.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { env, input, encoding: "utf8" });
  if (status !== 0) throw new Error(`flotilla ${args.join(" ")}: ${stderr}`);
  return stdout;
}
