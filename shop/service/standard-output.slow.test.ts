import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

let dataDir: string;
let children: ChildProcess[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-output-"));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(dataDir, { recursive: true, force: true });
});

/** Runs a program of the shop with a standard output that takes nothing. */
function run(file: string, { args = [] as string[], output = "closed" as "closed" | "full", ipc = false } = {}) {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const full = output === "full" ? openSync("/dev/full", "w") : undefined;
  const child = spawn(process.execPath, [path, ...args], {
    env: { FLOTILLA_DATA: dataDir, FLOTILLA_USERS_PORT: "0", HOME: dataDir },
    stdio: ["ignore", full ?? "pipe", "pipe", ...(ipc ? ["ipc" as const] : [])],
  });
  if (full !== undefined) closeSync(full);
  children.push(child);
  // Before it can have written anything.
  child.stdout?.destroy();
  let err = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, err }));
  return { child, ended };
}

const outputs = process.platform === "linux" ? (["closed", "full"] as const) : (["closed"] as const);

describe.each(outputs)("with a standard output that is %s", (output) => {
  test("a service goes on, and ends in good order", async () => {
    const { child, ended } = run("users/main.ts", { output, ipc: true });
    const [{ url }] = (await once(child, "message")) as [{ url: string }];
    for (let turn = 0; turn < 3; turn += 1) {
      child.send({ type: "ping" });
      await once(child, "message");
    }
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toEqual({ code: 0, signal: null, err: "" });
  });

  test.each([
    ["users/main.ts", ["--print-config"]],
    ["cli/keys.ts", ["list"]],
    ["cli/launch.js", ["help"]],
  ])("%s %j ends without a stack, and tells a full disk from a reader that stopped", async (file, args) => {
    const { code, err } = await run(file, { args, output }).ended;
    const lost = "✗ The output cannot be written: ENOSPC: no space left on device, write\n";
    expect({ code, err }).toEqual(output === "full" ? { code: 1, err: lost } : { code: 0, err: "" });
  });
});
