import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { killGroup, type Program, runProgram } from "../../tests/run-program.ts";

let dataDir = "";
let running: Program[] = [];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-run-"));
});
afterEach(() => {
  for (const each of running) killGroup(each);
  running = [];
  rmSync(dataDir, { recursive: true, force: true });
});

const anyPort = { FLOTILLA_GATEWAY_PORT: "0", FLOTILLA_USERS_PORT: "0", FLOTILLA_ORDERS_PORT: "0" };

/** Runs `npm start` with stand-in services. `said` resolves when the output matches; `ended` with code and output. */
function npmStart(env: Record<string, string> = {}, args: string[] = []) {
  const entry = fileURLToPath(new URL("fixtures/start.ts", import.meta.url));
  const its = runProgram([process.execPath, entry, ...args], {
    env: { ...process.env, ...anyPort, FLOTILLA_DATA: dataDir, ...env },
  });
  running.push(its);
  return { supervisor: its.child, said: its.says, ended: its.ended };
}

function portsIn(output: string): number[] {
  return [...new Set([...output.matchAll(/ready +http:\/\/127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1])))];
}

/** Resolves when a connection to the port ends; an open service closes it only by dying. */
function untilGone(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.on("error", () => resolve()).on("close", () => resolve());
  });
}

test("the output names every endpoint, the data directory and how to go on, without colour in a pipe", async () => {
  const { supervisor, said, ended } = npmStart();
  const output = await said(/Press Ctrl\+C to stop/);
  expect(output).toMatch(/API Gateway +http:\/\/127\.0\.0\.1:\d+\/rpc\/batch\n +ws:\/\/127\.0\.0\.1:\d+\/rpc/);
  expect(output).toContain(dataDir);
  expect(output).toContain("alice (admin), bob, charlie; password: password");
  expect(output).toMatch(/Try: FLOTILLA_GATEWAY_URL=http:\/\/127\.0\.0\.1:\d+ npm run demo\n/);
  expect(output).not.toContain("\u001b");
  expect(output).not.toContain("a banner nobody repeats");
  supervisor.kill("SIGINT");
  expect((await ended).code).toBe(0);
});

test("what a service has to tell its person once is shown", async () => {
  const { said } = npmStart({ BEHAVIOUR: '{"users":"tells"}' });
  expect(await said(/Press Ctrl\+C to stop/)).toContain("! users     the password is swordfish\n");
});

test("in production neither a password nor the demo is shown", async () => {
  const { said } = npmStart({ FLOTILLA_MODE: "production" });
  expect(await said(/Press Ctrl\+C to stop/)).not.toMatch(/password|demo/i);
});

test.skipIf(process.platform === "win32")(
  "SIGTERM and SIGINT end the system in good order with exit code 0",
  async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const { supervisor, said, ended } = npmStart();
      const ports = portsIn(await said(/Press Ctrl\+C to stop/));
      supervisor.kill(signal);
      const { code, output } = await ended;
      expect(code).toBe(0);
      expect(output).toMatch(/Stopped\.\n$/);
      await Promise.all(ports.map(untilGone));
    }
  },
);

test.skipIf(process.platform === "win32")(
  "a second Ctrl+C ends a system that does not drain, with exit code 130",
  async () => {
    const { supervisor, said, ended } = npmStart({ BEHAVIOUR: '{"orders":"deaf"}' });
    const ports = portsIn(await said(/Press Ctrl\+C to stop/));
    supervisor.kill("SIGINT");
    await said(/gateway +stopped/);
    // A person's second key; the first 300 ms count as one key.
    const again = setInterval(() => supervisor.kill("SIGINT"), 50);
    const { code } = await ended;
    clearInterval(again);
    expect(code).toBe(130);
    await Promise.all(ports.map(untilGone));
  },
);

test.skipIf(process.platform === "win32")(
  "Ctrl+C reaches every process of the terminal, and the services still drain",
  async () => {
    const { supervisor, said, ended } = npmStart({ BEHAVIOUR: '{"orders":"impatient","users":"impatient"}' });
    await said(/Press Ctrl\+C to stop/);
    // The supervisor leads a process group of its own, as a shell makes it for a command.
    if (supervisor.pid) process.kill(-supervisor.pid, "SIGINT");
    const { code, output } = await ended;
    expect({ code, impatient: output.includes("exit code 130") }).toEqual({ code: 0, impatient: false });
  },
);

test("nothing is left after kill -9 of the supervisor", async () => {
  const { supervisor, said } = npmStart({ BEHAVIOUR: '{"users":"deaf"}' });
  const ports = portsIn(await said(/Press Ctrl\+C to stop/));
  expect(ports).toHaveLength(3);
  const gone = Promise.all(ports.map(untilGone));
  supervisor.kill("SIGKILL");
  await gone;
  // The directory is free again, too.
  await npmStart().said(/Press Ctrl\+C to stop/);
});

test("a taken port ends with exit code 2 and nothing left running", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const address = other.address();
  const port = typeof address === "object" && address ? String(address.port) : "";
  const { code, output } = await npmStart({ FLOTILLA_USERS_PORT: port }).ended;
  other.close();
  expect(code).toBe(2);
  expect(output).toMatch(new RegExp(`Port ${port}.*User Service.*FLOTILLA_USERS_PORT=`));
  expect(output).not.toContain("ready");
});

test("a second start on one data directory ends with exit code 2 and names the first", async () => {
  const first = npmStart();
  await first.said(/Press Ctrl\+C to stop/);
  const { code, output } = await npmStart().ended;
  expect(code).toBe(2);
  expect(output).toContain(`already runs on ${dataDir} (process ${first.supervisor.pid})`);
});

test("a service that fails at the start ends with exit code 1 and its last words", async () => {
  const { code, output } = await npmStart({ BEHAVIOUR: '{"orders":"fails"}' }).ended;
  expect(code).toBe(1);
  expect(output).toContain("[orders] refusing to start");
  expect(output).toContain("orders ended before it was ready (exit code 3)");
});

test("a service that finds a setting wrong ends with exit code 2 and its last words", async () => {
  const { code, output } = await npmStart({ BEHAVIOUR: '{"orders":"refuses"}' }).ended;
  expect(code).toBe(2);
  expect(output).toContain("FLOTILLA_LOG_LEVEL: expected another");
});

const stores = { FLOTILLA_USERS_STORE: "postgres://shop@db/shop", FLOTILLA_ORDERS_STORE: "postgres://shop@db/shop" };

test("--instances starts so many of each, and weighs more than FLOTILLA_INSTANCES", async () => {
  const { supervisor, said, ended } = npmStart({ ...stores, FLOTILLA_INSTANCES: "gateway=2" }, [
    "--instances",
    "orders=2",
  ]);
  const output = await said(/Press Ctrl\+C to stop/);
  const ready = [...output.matchAll(/✓ (\S+) +ready +http:/g)].map((match) => match[1]);
  expect(ready.sort()).toEqual(["gateway", "orders.1", "orders.2", "users"]);
  const ports = portsIn(output);
  expect(ports).toHaveLength(4);
  supervisor.kill("SIGINT");
  expect((await ended).code).toBe(0);
  await Promise.all(ports.map(untilGone));
});

test("several of a service on a file of SQLite are refused with exit code 2 before anything starts", async () => {
  const { code, output } = await npmStart({ FLOTILLA_INSTANCES: "2" }).ended;
  expect(code).toBe(2);
  expect(output).toMatch(/2 of the User Service need a database .*FLOTILLA_USERS_STORE=postgres:/);
  expect(output).toMatch(/2 of the Order Service need a database .*FLOTILLA_ORDERS_STORE=postgres:/);
  expect(output).not.toContain("ready");
  expect(readdirSync(dataDir)).toEqual([]);
});

test("settings that are wrong and arguments that are unknown end with exit code 2; help with 0", async () => {
  const all = /FLOTILLA_COLOR: there is no such setting(.|\n)*FLOTILLA_MODE: expected(.|\n)*instances: expected/;
  expect(
    await npmStart({ FLOTILLA_MODE: "prod", FLOTILLA_COLOR: "red", FLOTILLA_INSTANCES: "many" }).ended,
  ).toMatchObject({ code: 2, output: expect.stringMatching(all) });
  for (const args of [["--prot"], ["production"], ["--instances"], ["--instances", "9"], ["--instances="]]) {
    expect(await npmStart({}, args).ended, args.join(" ")).toMatchObject({ code: 2 });
  }
  expect(await npmStart({}, ["--prot"]).ended).toMatchObject({
    output: "✗ Unknown option '--prot'. See: npm start -- --help\n",
  });
  expect(await npmStart({}, ["--help"]).ended).toMatchObject({ code: 0, output: expect.stringContaining("Usage") });
});
