import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

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
function start({ port = 0, ipc = true, env = {} as Record<string, string> } = {}) {
  const child = spawn(process.execPath, [main], {
    env: { FLOTILLA_DATA: dataDir, FLOTILLA_USERS_PORT: String(port), ...env },
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

async function listening(child: ChildProcess): Promise<string> {
  for (;;) {
    const [message] = (await once(child, "message")) as [{ type: string; url: string }];
    if (message.type === "listening") return message.url;
  }
}

describe("a service as a process", () => {
  test("shows the specification's banner, and tells its supervisor where it listens and what it holds", async () => {
    const { child, output, ended } = start();
    const url = await listening(child);
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ status: "ready", service: "users" });
    child.send({ type: "stats" });
    const [answer] = await once(child, "message");
    expect(answer).toEqual({
      type: "stats",
      stats: { server: { sessions: 0, imports: 0, exports: 0 }, home: { deposits: 0, parked: 0 } },
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

  test("shows nobody's password in production but the administrator's, once", async () => {
    const env = { FLOTILLA_MODE: "production" };
    const first = start({ env });
    await listening(first.child);
    first.child.kill("SIGTERM");
    await first.ended;
    expect(first.output.out).toMatch(/Administrator: admin, password [\w-]{24} \(shown this once\)/);
    expect(first.output.out).not.toContain("alice");
    const second = start({ env });
    await listening(second.child);
    second.child.kill("SIGTERM");
    await second.ended;
    expect(second.output.out).not.toContain("password");
  });

  test("makes its data directory and key for itself alone", async () => {
    const { child, ended } = start();
    await listening(child);
    child.kill("SIGTERM");
    await ended;
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(dataDir, "keys")).sort()).toEqual(["users.key", "users.pub"]);
    for (const file of ["keys/users.key", "users.db"]) {
      expect(statSync(join(dataDir, file)).mode & 0o777, file).toBe(0o600);
    }
  });
});

describe("it ends", () => {
  test("on SIGINT, in good order", async () => {
    const { child, ended } = start();
    await listening(child);
    child.kill("SIGINT");
    expect(await ended).toEqual({ code: 0, signal: null });
  });

  test("when its supervisor is gone", async () => {
    const { child } = start();
    await listening(child);
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
      expect(output.err).toContain("FLOTILLA_USERS_PORT");
      expect(output.out).toBe("");
    } finally {
      other.close();
    }
  });

  test("with 2 and every setting that is wrong, when there is one", async () => {
    const { ended, output } = start({ ipc: false, env: { FLOTILLA_MODE: "staging", FLOTILLA_USERS_PORT: "http" } });
    expect((await ended).code).toBe(2);
    expect(output.err).toContain("FLOTILLA_MODE");
    expect(output.err).toContain("FLOTILLA_USERS_PORT");
    expect(output.err).not.toMatch(/\n\s+at /);
  });
});
