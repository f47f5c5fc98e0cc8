import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { launcher, makeCli } from "../cli-harness.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A Node that is older than the project's, if the host has one beside it. */
const olderNode = ["/usr/bin/node", "/usr/local/bin/node"].find((node) => {
  const { stdout } = spawnSync(node, ["-p", "process.versions.node"], { encoding: "utf8" });
  return Number.parseInt(stdout ?? "", 10) < 24;
});

test("npx finds it in the repository", () => {
  const out = execFileSync("npx", ["flotilla", "--version"], { cwd: root, encoding: "utf8" });
  expect(out).toMatch(/^flotilla \d+\.\d+\.\d+\n$/);
});

test("what it loads to show its help is little: no kit, and nothing of a server", () => {
  const script = `process.on("exit", () => console.log(JSON.stringify(process.moduleLoadList)));
    process.argv[1] = ${JSON.stringify(launcher)}; process.argv.push("--help"); await import(${JSON.stringify(launcher)});`;
  const { stdout: loaded } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(loaded).toContain("Usage: flotilla");
  const list = JSON.parse(loaded.trim().split("\n").at(-1) ?? "[]") as string[];
  expect(list).toContain("NativeModule fs");
  for (const name of ["http", "sqlite", "tls", "repl"]) expect(list).not.toContain(`NativeModule ${name}`);
});

// A host whose own Node is as new has nothing to hand over.
test.skipIf(!olderNode)("an older Node hands over: arguments, input, exit code and signals", async () => {
  using cli = makeCli({});
  const waiting = Promise.withResolvers<void>();
  const server = createServer(() => waiting.resolve()).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const child = spawn(olderNode!, [launcher, "login", "a b", "--password-stdin", "--gateway", url], { env: cli.env });
  child.stdin.end("secret\n");
  await waiting.promise;
  child.kill("SIGTERM");
  const [code] = await once(child, "close");
  expect(code).toBe(143);
  const { status, stderr } = spawnSync(olderNode!, [launcher, "order", "show"], { env: cli.env, encoding: "utf8" });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: expect.stringContaining("Missing required argument 'order'"),
  });
});
