import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeHttpBatchRpcResponse } from "capnweb";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { MemoryGateway } from "./fixtures/gateway.ts";
import { runDemo } from "./run-demo.ts";

/** The demo makes its temporary directories in here, so that a test sees what it left behind. */
let tmp = "";
beforeEach(() => {
  tmp = mkdtempSync(join(tmpdir(), "flotilla-demo-test-"));
});
afterEach(() => rmSync(tmp, { recursive: true, force: true }));

function npmRunDemo(env: Record<string, string>) {
  const entry = fileURLToPath(new URL("fixtures/demo.ts", import.meta.url));
  const demo = spawn(process.execPath, [entry], { env: { ...process.env, TMPDIR: tmp, TEMP: tmp, ...env } });
  const output = { out: "", err: "" };
  demo.stdout.setEncoding("utf8").on("data", (text: string) => (output.out += text));
  demo.stderr.setEncoding("utf8").on("data", (text: string) => (output.err += text));
  return { demo, ended: once(demo, "close").then(([code]) => ({ code, ...output })) };
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
}

/** What a gateway of ours says at `/readyz`. */
const ready = '{"status":"ready","service":"gateway"}';

/** An address nobody listens on. */
const nobody = "http://127.0.0.1:1";

test("a gateway that answers is used, over stock HTTP batches", async () => {
  const gateway = new MemoryGateway();
  const url = await serve((request, response) => {
    if (request.url === "/readyz") response.end(ready);
    else void nodeHttpBatchRpcResponse(request, response, gateway);
  });
  const { code, out, err } = await npmRunDemo({ FLOTILLA_GATEWAY_URL: `${url}/` }).ended;
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain("✓ Order successfully cancelled\n\n=== Demo Complete ===\n");
  const { token } = await gateway.login("bob", "password");
  expect(await gateway.listOrders(token)).toEqual([{ orderId: "order1", total: 1059.97, status: "cancelled" }]);
});

test("without a gateway a private system is started, and nothing of it is left", async () => {
  const { code, out, err } = await npmRunDemo({ FLOTILLA_GATEWAY_URL: nobody }).ended;
  expect({ code, err }).toEqual({ code: 0, err: `No gateway at ${nobody}; starting a private one\n` });
  expect(out).toContain("=== Demo Complete ===");
  expect(readdirSync(tmp)).toEqual([]);
});

test.each([
  ["a web server", 200, "<h1>It works!</h1>"],
  ["another service of the shop", 200, '{"status":"ready","service":"users"}'],
])("%s on the gateway's port is left alone", async (_what, status, body) => {
  const asked: (string | undefined)[] = [];
  const url = await serve((request, response) => {
    asked.push(request.url);
    response.writeHead(status).end(body);
  });
  const { code, err } = await npmRunDemo({ FLOTILLA_GATEWAY_URL: url }).ended;
  expect({ code, err }).toEqual({ code: 0, err: `No gateway at ${url}; starting a private one\n` });
  expect(asked).toEqual(["/readyz"]);
});

const starting = '{"status":"starting","service":"gateway"}';

test("a gateway that is starting is waited for and used", async () => {
  const gateway = new MemoryGateway();
  let asked = 0;
  const url = await serve((request, response) => {
    if (request.url !== "/readyz") return void nodeHttpBatchRpcResponse(request, response, gateway);
    asked += 1;
    if (asked > 2) response.end(ready);
    else response.writeHead(503).end(starting);
  });
  const { code, out, err } = await npmRunDemo({ FLOTILLA_GATEWAY_URL: url }).ended;
  expect({ code, err }).toEqual({ code: 0, err: `The gateway at ${url} is starting; waiting for it\n` });
  expect(out).toContain("=== Demo Complete ===");
});

test("a gateway that does not become ready is an error, and no private system is started beside it", async () => {
  const url = await serve((_request, response) => void response.writeHead(503).end(starting));
  const said = { out: "", err: "" };
  const code = await runDemo({
    env: { FLOTILLA_GATEWAY_URL: url },
    timeoutMs: 1,
    out: { write: (text: string) => (said.out += text) },
    err: { write: (text: string) => (said.err += text) },
    exit: () => undefined,
  });
  expect({ code, out: said.out }).toEqual({ code: 6, out: "" });
  expect(said.err).toContain(
    `   ✗ The gateway at ${url} is not ready (starting)\n     \`flotilla status\` shows what it waits for\n`,
  );
});

test.skipIf(process.platform === "win32")("Ctrl+C ends the wait for a gateway", async () => {
  const url = await serve((_request, response) => void response.writeHead(503).end(starting));
  const { demo, ended } = npmRunDemo({ FLOTILLA_GATEWAY_URL: url });
  demo.stderr.once("data", () => demo.kill("SIGINT"));
  expect(await ended).toMatchObject({ code: 130, out: "" });
});

test.each([
  ["without a word", "", 6, /^ {3}✗ .*500/],
  ["as a fault of its own", '{"code":"internal","message":"Broken","retryable":false}', 1, /^ {3}✗ Broken/],
])("a step that is refused %s is shown on stderr, with the exit code of any command", async (_, body, exit, said) => {
  const url = await serve((request, response) => {
    if (request.url === "/readyz") response.end(ready);
    else response.writeHead(500).end(body);
  });
  const { code, err } = await npmRunDemo({ FLOTILLA_GATEWAY_URL: url }).ended;
  expect(code).toBe(exit);
  expect(err).toMatch(said);
});

test.skipIf(process.platform === "win32")("Ctrl+C ends a private system too, and its data", async () => {
  const { demo, ended } = npmRunDemo({ FLOTILLA_GATEWAY_URL: nobody, BEHAVIOUR: "hangs" });
  // The first step has begun, so the system runs.
  demo.stdout.once("data", () => demo.kill("SIGINT"));
  expect((await ended).code).toBe(130);
  expect(readdirSync(tmp)).toEqual([]);
});
