import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compileCacheVariables } from "../compile-cache.js";

let dataDir: string;
let children: ChildProcess[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-service-"));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(dataDir, { recursive: true, force: true });
});

const main = fileURLToPath(new URL("../users/main.ts", import.meta.url));

/** The User Service as a process, as `npm run users` runs it (`ipc: false`) or as a supervisor does. */
function start({ port = 0, ipc = true, env = {} as Record<string, string>, args = [] as string[] } = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...compileCacheVariables(), FLOTILLA_DATA: dataDir, FLOTILLA_USERS_PORT: String(port), ...env },
    stdio: ["ignore", "pipe", "pipe", ...(ipc ? ["ipc" as const] : [])],
  });
  children.push(child);
  const output = { out: "", err: "" };
  child.stdout?.on("data", (chunk: Buffer) => {
    output.out += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    output.err += chunk.toString();
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal }) as const);
  return { child, output, ended };
}

/** Resolves with the address; rejects with what the service said when it ended before. */
function listening({ child, output, ended }: Running): Promise<string> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: { type?: string; url?: string }) => {
      if (message.type === "listening") resolve(message.url ?? "");
    });
    void ended.then(() => reject(new Error(output.err)));
  });
}

type Running = ReturnType<typeof start>;

describe("a service as a process", () => {
  test("as one of several logs under a name of its own", async () => {
    // Nobody is there, which it logs.
    const env = { FLOTILLA_INSTANCE: "2", FLOTILLA_REGISTER: "etcd+http://127.0.0.1:1/shop" };
    const service = start({ env });
    await listening(service);
    while (!service.output.err.includes("\n")) await once(service.child.stderr!, "data");
    expect(service.output.err).toMatch(/"service":"users\.2".*nobody is told/);
  });

  test("shows the specification's banner, and tells its supervisor where it listens and what it holds", async () => {
    const service = start();
    const { child, output, ended } = service;
    const url = await listening(service);
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ status: "ready", service: "users" });
    child.send({ type: "stats" });
    const [answer] = await once(child, "message");
    expect(answer).toEqual({
      type: "stats",
      stats: { server: { sessions: 0, imports: 0, exports: 0 }, home: { deposits: 0, parked: 0 }, revokers: 0 },
    });
    child.kill("SIGTERM");
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(output.out.split("\n")).toEqual([
      `👤 User Service running on ${url}`,
      `   Endpoint: ${url}/rpc/batch`,
      "",
      "Available users:",
      "  - alice (admin)",
      "  - bob (user)",
      "  - charlie (user)",
      "",
      "Press Ctrl+C to stop",
      "",
    ]);
    expect(output.err).toBe("");
  });

  test("shows nobody's password in production but the administrator's, once, also when an earlier start failed", async () => {
    const env = { FLOTILLA_MODE: "production" };
    const squatter = createServer().listen(0, "127.0.0.1");
    await once(squatter, "listening");
    const { port } = squatter.address() as { port: number };
    expect((await start({ env, port }).ended).code).toBe(2);
    squatter.close();
    const said: string[] = [];
    for (const round of ["first", "second"]) {
      const service = start({ env });
      service.child.on("message", (message: { type: string; text?: string }) => {
        if (message.type === "notice") said.push(`${round}: ${message.text}`);
      });
      await listening(service);
      service.child.kill("SIGTERM");
      await service.ended;
      expect(service.output.out).not.toContain("alice");
      expect(service.output.out.includes("password")).toBe(round === "first");
    }
    expect(said).toEqual([
      expect.stringMatching(/^first: Administrator: admin, password [\w-]{24} \(shown this once\)$/),
    ]);
  });

  test("makes its data directory and key for itself alone", async () => {
    const service = start();
    const { child, ended } = service;
    await listening(service);
    child.kill("SIGTERM");
    await ended;
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(dataDir, "keys")).sort()).toEqual(["trusted-keys", "users.key"]);
    for (const file of ["keys/users.key", "users.db"]) {
      expect(statSync(join(dataDir, file)).mode & 0o777, file).toBe(0o600);
    }
  });
});

describe("it ends", () => {
  test("on SIGINT, in good order", async () => {
    const service = start();
    const { child, ended } = service;
    await listening(service);
    child.kill("SIGINT");
    expect(await ended).toEqual({ code: 0, signal: null });
  });

  test("when its supervisor is gone", async () => {
    const service = start();
    const { child } = service;
    await listening(service);
    child.disconnect();
    // Not `close`, which does not come when it was we who disconnected.
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("with 2, naming the port and how to choose another, when the port is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    try {
      const { ended, output } = start({ port, ipc: false });
      expect(await ended).toEqual({ code: 2, signal: null });
      expect(output.err).toContain(String(port));
      expect(output.err).toContain("Choose another with FLOTILLA_USERS_PORT.\n");
      expect(output.out).toBe("");
      const ops = start({ ipc: false, env: { FLOTILLA_USERS_OPS_PORT: String(port) } });
      expect(await ops.ended).toEqual({ code: 2, signal: null });
      expect(ops.output.err).toContain("Choose another with FLOTILLA_USERS_OPS_PORT.\n");
    } finally {
      other.close();
    }
  });

  test("with 2, naming the setting, when its host is no address", async () => {
    const { ended, output } = start({ ipc: false, env: { FLOTILLA_HOST: "not..a..host" } });
    expect((await ended).code).toBe(2);
    expect(output.err).toMatch(/getaddrinfo E\w+ not\.\.a\.\.host\. Check FLOTILLA_HOST and FLOTILLA_USERS_PORT\.\n/);
  });

  test.each([["--print-confg"], ["production"], ["--print-config=yes"]])("with 2 on the argument %s", async (arg) => {
    const { ended, output } = start({ ipc: false, args: [arg] });
    expect((await ended).code).toBe(2);
    expect(output.err).toMatch(/See: npm run users -- --help\n$/);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test("with 0 when it was asked for help, which starts nothing", async () => {
    const { ended, output } = start({ ipc: false, args: ["--help"] });
    expect((await ended).code).toBe(0);
    expect(output.out).toMatch(/^Usage: npm run users/);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test("with 2 and every setting that is wrong, when there is one", async () => {
    const { ended, output } = start({ ipc: false, env: { FLOTILLA_MODE: "staging", FLOTILLA_USERS_PORT: "http" } });
    expect((await ended).code).toBe(2);
    expect(output.err).toContain("FLOTILLA_MODE");
    expect(output.err).toContain("FLOTILLA_USERS_PORT");
    expect(output.err).not.toMatch(/\n\s+at /);
  });
});

describe("what operators ask", () => {
  test("is answered on a listener of its own, and on no other", async () => {
    const { child, ended } = start({ env: { FLOTILLA_USERS_OPS_PORT: "0" } });
    const [{ url, opsUrl }] = (await once(child, "message")) as [{ url: string; opsUrl: string }];
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
    await fetch(`${url}/rpc/batch`, { method: "POST", body: "{" });
    const metrics = await (await fetch(`${opsUrl}/metrics`)).text();
    expect(metrics).toContain('flotilla_refused_total{code="unauthenticated",reason="",service="users"} 1');
    expect(metrics).toContain('flotilla_held{of="server.sessions",service="users"} 0');
    const page = readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8");
    const [, table = ""] = /\n\| `flotilla_…`.*\n((?:\|.*\n)+)/.exec(page) ?? [];
    const figures = table
      .trim()
      .split("\n")
      .flatMap((row) => row.split("|")[1]!.match(/(?<=`)[a-z_]+/g) ?? []);
    expect(figures.length).toBeGreaterThan(15);
    expect(figures.filter((name) => !metrics.includes(`# TYPE flotilla_${name} `))).toEqual([]);
    expect((await fetch(`${opsUrl}/readyz`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toEqual({ code: 0, signal: null });
  });

  test("the settings are printed without starting anything", async () => {
    const child = spawn(process.execPath, [main, "--print-config"], {
      env: { ...compileCacheVariables(), FLOTILLA_DATA: dataDir },
    });
    children.push(child);
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    await once(child, "close");
    expect(JSON.parse(out)).toMatchObject({
      service: "users",
      limits: { edge: { frameBytesMax: 262_144 }, user: { capabilitiesMax: 200 } },
    });
    expect(readdirSync(dataDir)).toEqual([]);
  });
});

test.skipIf(process.platform === "win32")(
  "more connections than it may have open files do not end a service, and it serves again when they are gone",
  async () => {
    const child = spawn("sh", ["-c", 'ulimit -n 64; exec "$0" "$1"', process.execPath, main], {
      env: { ...compileCacheVariables(), FLOTILLA_DATA: dataDir, FLOTILLA_USERS_PORT: "0" },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    children.push(child);
    const output = { out: "", err: "" };
    child.stderr?.on("data", (chunk: Buffer) => {
      output.err += chunk.toString();
    });
    const ended = once(child, "close").then(([code, signal]) => ({ code, signal }) as const);
    const url = await listening({ child, output, ended });
    const sockets = Array.from({ length: 150 }, () => createConnection(Number(new URL(url).port), "127.0.0.1"));
    await Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve).once("error", resolve))),
    );
    // Somebody who waits for a place gets one when those who hold them are gone.
    const asked = fetch(`${url}/readyz`).catch(() => undefined);
    for (const socket of sockets) socket.destroy();
    await asked;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toEqual({ code: 0, signal: null });
  },
);
