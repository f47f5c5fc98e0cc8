import { createServer } from "node:http";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { FlotillaError } from "../base/errors.ts";
import { makeDesk } from "../testing/desk.ts";
import { ask, sendRaw, upgradeRequest } from "../testing/http.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig } from "../testing/rig.ts";

const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

describe("a session that was asked for without an upgrade", () => {
  /** Nothing of an upgrade; what nginx makes of one without its settings; one half of it. */
  const heads = [
    "GET /rpc HTTP/1.1\r\nhost: x\r\n\r\n",
    "HEAD /rpc HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /rpc HTTP/1.0\r\nhost: x\r\nconnection: close\r\nsec-websocket-version: 13\r\nsec-websocket-key: x\r\n\r\n",
    "GET /rpc HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: keep-alive\r\n\r\n",
    "GET /rpc?a=b HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\r\n",
  ];
  test.each(heads)("is answered with 426, and a word about the proxy: %j", async (head) => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const [answer = "", body = ""] = (await sendRaw(url, head)).split("\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1.1 426 Upgrade Required\r\n/);
    expect(answer).toMatch(/\r\nupgrade: websocket\r\n/i);
    expect(answer).toMatch(/\r\nconnection: upgrade, close(\r\n|$)/i);
    if (head.startsWith("HEAD")) return;
    const { code, reason, message } = JSON.parse(/\{.*\}/.exec(body)?.[0] ?? "");
    expect([code, reason]).toEqual(["invalid_argument", "upgrade_required"]);
    expect(message).toMatch(/a proxy in between has dropped it: let it pass on Upgrade and Connection over HTTP\/1.1/);
  });

  test("tells the client behind such a proxy what is wrong", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const proxy = createServer({ shouldUpgradeCallback: () => false }, (request, response) => {
      void ask(`${url}${request.url}`, { method: "GET" }).then(({ status, text }) =>
        response.writeHead(status).end(text),
      );
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    rig.onEnd(() => new Promise((resolve) => proxy.close(resolve)));
    const connection = rig.connect({ url: `http://127.0.0.1:${(proxy.address() as { port: number }).port}` });
    const error = await connection.opened().catch((thrown: FlotillaError) => thrown);
    connection.close();
    const why =
      "our request reached it without its Upgrade header: a proxy in between has to pass on Upgrade and Connection";
    expect(error).toMatchObject({
      reason: "upgrade_required",
      message: `home cannot be reached: ${why} (HTTP 426, invalid_argument, upgrade_required)`,
    });
  });
});

test("a target that is a whole URL counts by its path", async () => {
  await using rig = makeRig();
  const { url } = await rig.serve({ main: makeDesk().mainFor });
  const statusOf = async (request: string) => Number((await sendRaw(url, request)).slice(9, 12));
  const head = "host: x\r\nconnection: close\r\n";
  for (const origin of ["", "http://shop.example", "HTTPS://shop.example:8080", "http://[::1]"]) {
    expect(await statusOf(`GET ${origin}/healthz HTTP/1.1\r\n${head}\r\n`), origin).toBe(200);
    expect(await statusOf(`GET ${origin}/healthz?a=/rpc HTTP/1.1\r\n${head}\r\n`), origin).toBe(200);
    expect(await statusOf(`GET ${origin}/elsewhere HTTP/1.1\r\n${head}\r\n`), origin).toBe(404);
    const batch = `POST ${origin}/rpc/batch HTTP/1.1\r\n${head}content-length: ${add.length}\r\n\r\n${add}`;
    expect(await statusOf(batch), origin).toBe(200);
  }
  expect(await statusOf(`GET http://shop.example?/healthz HTTP/1.1\r\n${head}\r\n`)).toBe(404);
  const upgrade = upgradeRequest({ path: "http://shop.example/rpc", key: "malformed" });
  // 404 would be the answer to another path.
  expect(await statusOf(upgrade)).toBe(400);
});

describe("a body that is encoded", () => {
  test.each(["gzip", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"])(
    "as %s is refused with 415, which says what is taken",
    async (encoding) => {
      await using rig = makeRig();
      const desk = makeDesk();
      const { url } = await rig.serve({ main: desk.mainFor });
      const headers = { "content-encoding": encoding };
      const answer = await ask(`${url}/rpc/batch`, { headers, body: gzipSync(add).toString("latin1") });
      expect(answer).toMatchObject({ status: 415, headers: { "accept-encoding": "identity" } });
      const { code, reason, message } = JSON.parse(answer.text);
      expect([code, reason]).toEqual(["invalid_argument", "encoding_not_taken"]);
      expect(message).toContain("content-encoding: identity");
      expect(desk.calls).toEqual([]);
    },
  );

  test("on its way, by a transfer encoding, is refused likewise", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const text = await sendRaw(
      url,
      "POST /rpc/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    );
    expect(text).toMatch(/^HTTP\/1.1 415 /);
  });

  test.each<Record<string, string>>([{}, { "content-encoding": "identity" }, { "content-encoding": "" }])(
    "in no way is taken: %j",
    async (headers) => {
      await using rig = makeRig();
      const { url } = await rig.serve({ main: makeDesk().mainFor });
      expect(await ask(`${url}/rpc/batch`, { headers, body: add })).toMatchObject({ status: 200 });
      expect(await ask(`${url}/rpc/batch`, { headers, body: [add.slice(0, 9), add.slice(9)] })).toMatchObject({
        status: 200,
      });
    },
  );
});

test("a frame that is not UTF-8 ends its session before anything of it is read", async () => {
  await using rig = makeRig();
  const desk = makeDesk();
  const { url } = await rig.serve({ main: desk.mainFor });
  const { socket } = await openRawSocket(rig, url);
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  socket.send(Buffer.from('["push",["pipeline",0,["note"],["\u00e4"]]]', "latin1"), { binary: false });
  expect(await closed).toBe(1007);
  expect(desk.calls).toEqual([]);
});

describe("the origins that a service lists", () => {
  test("match however they are spelt, those of apps too", async () => {
    await using rig = makeRig();
    const origins = ["HTTPS://Shop.example:443/", "capacitor://localhost"];
    const { url } = await rig.serve({ main: makeDesk().mainFor, origins });
    for (const origin of ["https://shop.example", "capacitor://localhost"]) {
      const answer = await ask(`${url}/rpc/batch`, { headers: { origin }, body: add });
      expect(answer).toMatchObject({ status: 200, headers: { "access-control-allow-origin": origin } });
      expect((await openRawSocket(rig, url, { origin })).socket.readyState).toBe(1);
    }
    for (const origin of ["https://shop.example/", "ionic://localhost", "capacitor://localhost.evil"]) {
      expect(await ask(`${url}/rpc/batch`, { headers: { origin }, body: add })).toMatchObject({ status: 403 });
    }
  });

  test.each(["*", "https://*.shop.example", "https://shop.example/path", "null"])(
    "are refused before it listens where one matches nothing: %s",
    async (origin) => {
      await using rig = makeRig();
      await expect(rig.serve({ main: makeDesk().mainFor, origins: [origin] })).rejects.toThrow(TypeError);
    },
  );

  test("leave a trace of the one that was refused, which its page does not see", async () => {
    await using rig = makeRig();
    const refusals: FlotillaError[] = [];
    const { url } = await rig.serve({ main: makeDesk().mainFor, onRefused: (reason) => refusals.push(reason) });
    const origin = `https://evil.example/\x9b${"x".repeat(200)}`;
    const { text } = await ask(`${url}/rpc/batch`, { headers: { origin }, body: add });
    await sendRaw(url, upgradeRequest({ headers: ["origin: null"] }));
    expect(text).not.toContain("evil");
    expect(refusals.map(({ reason, cause }) => [reason, (cause as Error).message])).toEqual([
      ["origin_refused", `https://evil.example/\\xc2\\x9b${"x".repeat(77)}...`],
      ["origin_refused", "null"],
    ]);
  });
});
