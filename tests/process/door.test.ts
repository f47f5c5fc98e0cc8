import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { ask, sendRaw } from "@flotilla/kit/testing";
import { expect, onTestFinished, test } from "vitest";
import { upgradeRequest } from "../attacks/adversary-wire.ts";
import { makeCertificate } from "../certificate.ts";

type Line = Record<string, unknown> & { readonly msg: string };

const main = fileURLToPath(new URL("../../shop/gateway/main.ts", import.meta.url));

/** A port behind which TLS is spoken, by a certificate that nobody trusts. */
async function strangerPort(): Promise<number> {
  const server = createServer(makeCertificate(), (socket) => socket.destroy());
  server.on("tlsClientError", () => undefined);
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test("a gateway says why it is not ready, and which web page it refused, in one line of its log each", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "flotilla-door-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const users = `https://localhost:${await strangerPort()}`;
  const gateway = spawn(process.execPath, [main], {
    env: {
      FLOTILLA_DATA: dataDir,
      FLOTILLA_GATEWAY_PORT: "0",
      FLOTILLA_GATEWAY_OPS_PORT: "0",
      FLOTILLA_USERS_URL: users,
      FLOTILLA_ORDERS_URL: "http://127.0.0.1:1",
      FLOTILLA_ORIGINS: "https://Shop.example/,capacitor://localhost",
    },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  onTestFinished(() => void gateway.kill("SIGKILL"));
  const lines: Line[] = [];
  const log = createInterface({ input: gateway.stderr! });
  log.on("line", (line) => lines.push(JSON.parse(line) as Line));
  const [{ url, opsUrl }] = (await once(gateway, "message")) as [{ url: string; opsUrl: string }];
  while (lines.length === 0) await once(log, "line");

  const why = "this process trusts no authority that signed its certificate (NODE_EXTRA_CA_CERTS adds one)";
  const { status, text } = await ask(`${opsUrl}/readyz`, { method: "GET" });
  expect([status, JSON.parse(text)]).toEqual([
    503,
    {
      status: "not ready",
      checks: { users: false, orders: false },
      reasons: {
        users: `users cannot be reached: ${why}`,
        orders: "orders cannot be reached: nothing listens at its address",
      },
    },
  ]);
  // The public one names services, and tells strangers nothing of why.
  const waitsFor = ["users", "orders"].map((name) => ({ name, forMs: expect.any(Number) }));
  expect(JSON.parse((await ask(`${url}/readyz`, { method: "GET" })).text)).toEqual({
    status: "starting",
    service: "gateway",
    waitsFor: expect.arrayContaining(waitsFor),
  });

  for (const origin of ["https://evil.example", "https://shop.example.evil", "null"]) {
    expect((await ask(`${url}/rpc/batch`, { headers: { origin } })).status).toBe(403);
    expect(await sendRaw(url, upgradeRequest([`Origin: ${origin}`]))).toMatch(/^HTTP\/1.1 403 /);
  }
  const listed = await ask(`${url}/rpc/batch`, { headers: { origin: "https://shop.example" } });
  expect(listed.headers["access-control-allow-origin"]).toBe("https://shop.example");
  gateway.kill("SIGTERM");
  await once(gateway, "close");

  expect(
    lines.map(({ level, msg, reason, url, origin, times }) => ({ level, msg, reason, url, origin, times })),
  ).toEqual([
    {
      level: "warn",
      msg: `users cannot be reached: ${why}`,
      reason: "certificate_untrusted",
      url: users,
      origin: undefined,
      times: 1,
    },
    {
      level: "warn",
      msg: "a web page was refused: FLOTILLA_ORIGINS does not list its origin",
      reason: undefined,
      url: undefined,
      origin: "https://evil.example",
      times: 1,
    },
  ]);
  expect(JSON.stringify(lines[0])).toContain("self-signed certificate");
});
