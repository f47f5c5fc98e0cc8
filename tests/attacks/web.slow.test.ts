import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serviceNames } from "../../shop/topology.ts";
import { until } from "../process-harness.ts";
import { post, sendRaw } from "./hostile-http.ts";
import { callOf, dial, errorOf, type HostilePeer, list, type Message } from "./hostile-peer.ts";
import { type Spawned, spawnService } from "./spawn-service.ts";
import { startTarget, type Target } from "./target.ts";
import { refusalOf } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run));

const gateway = () => target.shop.urls.gateway;
const laptop = { name: "Laptop", quantity: 1, price: 999.99 };
const linesOf = (...messages: readonly Message[]) => messages.map((message) => JSON.stringify(message)).join("\n");
const shopOrigin = "https://shop.example";

/** One more gateway of the same system, with a web page that may call it and a listener for operators. */
function secondGateway(): Promise<Spawned> {
  return spawnService("gateway", {
    FLOTILLA_DATA: target.shop.dataDir,
    FLOTILLA_GATEWAY_PORT: "0",
    FLOTILLA_GATEWAY_OPS_PORT: "0",
    FLOTILLA_ORIGINS: shopOrigin,
    FLOTILLA_USERS_URL: target.shop.urls.users,
    FLOTILLA_ORDERS_URL: target.shop.urls.orders,
  });
}

/** What an upgrade from a page of `origin` is answered. */
async function upgradeFrom(url: string, origin: string): Promise<number> {
  return await dial(url, { headers: { origin } }).then(
    (peer) => {
      peer.socket.terminate();
      return 101;
    },
    (error: Error) => Number(error.message.replace("refused: ", "")),
  );
}

const strangers = ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:8080", "file://", ""];
/** Of `https://shop.example`. */
const lookAlikes = [
  "https://evil.shop.example",
  "https://shop.example.evil.example",
  "https://shop.example:8443",
  "http://shop.example",
  "https://shop.example.",
  "https://shop.example/",
  "https://SHOP.example",
  "https://shop-example",
  "https://shop.example, https://evil.example",
  "https://evil.example#https://shop.example",
];

describe("a page of another origin", () => {
  attack("W1 opens no session, nor does one whose name only looks like a listed one", async () => {
    for (const origin of [...strangers, ...lookAlikes, shopOrigin]) {
      expect(await upgradeFrom(gateway(), origin), origin).toBe(403);
    }
    await using second = await secondGateway();
    for (const origin of [...strangers, ...lookAlikes]) expect(await upgradeFrom(second.url, origin), origin).toBe(403);
    expect(await upgradeFrom(second.url, shopOrigin)).toBe(101);
    // No browser: it sends none.
    using program = await dial(second.url);
    expect(program.socket.readyState).toBe(program.socket.OPEN);
  });

  attack("W2 posts no batch, whatever its content type, and no cookie or header is authority", async () => {
    const body = linesOf(...callOf("createOrder", [target.tokens.charlie, list(laptop)]));
    for (const origin of strangers) {
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json",
      ]) {
        const answer = await post(`${gateway()}/rpc/batch`, { headers: { origin, "content-type": type }, body });
        expect([answer.status, JSON.parse(answer.text)], origin).toMatchObject([403, { reason: "origin_refused" }]);
      }
    }
    const headers = {
      cookie: `token=${target.tokens.alice}; session=${target.tokens.alice}`,
      authorization: `Bearer ${target.tokens.alice}`,
      "x-user-id": "user1",
      "x-token": target.tokens.alice,
    };
    const asNobody = await post(`${gateway()}/rpc/batch`, { headers, body: linesOf(...callOf("listUsers", [""])) });
    expect(errorOf(JSON.parse(asNobody.text.split("\n")[0]!) as Message)?.code).toBe("unauthenticated");
    using peer = await dial(gateway(), { headers });
    expect(errorOf(await peer.answer(peer.call("listUsers", [""])))?.code).toBe("unauthenticated");
  });

  attack("W3 is allowed to read nothing: no origin is reflected, and none but a listed one is named", async () => {
    await using second = await secondGateway();
    for (const url of [gateway(), second.url]) {
      for (const origin of [...strangers, ...lookAlikes]) {
        for (const [method, path] of [
          ["POST", "/rpc/batch"],
          ["OPTIONS", "/rpc/batch"],
          ["GET", "/readyz"],
          ["GET", "/x"],
        ]) {
          const asked = { method: method!, headers: { origin, "access-control-request-method": "POST" } };
          const { headers } = await post(`${url}${path}`, asked);
          expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
        }
      }
    }
    const { headers } = await post(`${second.url}/rpc/batch`, { method: "OPTIONS", headers: { origin: shopOrigin } });
    expect(headers["access-control-allow-origin"]).toBe(shopOrigin);
    expect(headers["access-control-allow-credentials"]).toBeUndefined();
    expect(headers.vary).toBe("origin");
  });

  attack("W5 can neither frame, nor sniff, nor cache an answer", async () => {
    const safe = {
      "cache-control": "no-store",
      "content-security-policy": expect.stringContaining("frame-ancestors 'none'"),
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "content-type": expect.stringMatching(/^application\//),
    };
    for (const name of serviceNames) {
      const url = target.shop.urls[name];
      const asked: [string, string, string?][] = [
        ["POST", "/rpc/batch", name === "gateway" ? linesOf(...callOf("listUsers", [target.tokens.bob])) : ""],
        ["POST", "/rpc/batch", "garbage"],
        ["GET", "/readyz"],
        ["GET", "/healthz"],
        ["GET", "/nothing"],
        ["DELETE", "/rpc"],
        ["GET", "/rpc"],
      ];
      for (const [method, path, body = ""] of asked) {
        const { headers, text } = await post(`${url}${path}`, { method, body });
        expect(headers, `${name} ${method} ${path}`).toMatchObject(safe);
        expect(headers["x-powered-by"] ?? headers.server, "no word on what serves it").toBeUndefined();
        expect(text).not.toContain("<");
      }
    }
  });
});

describe("a request that says where else to go", () => {
  attack("W6 leads to no connection: nothing that a peer names is ever dialled", async () => {
    let dialled = 0;
    const canary = createServer((socket) => {
      dialled += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => canary.listen(0, "127.0.0.1", () => resolve()));
    const { port } = canary.address() as { port: number };
    try {
      const hosts = [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0177.0.0.1",
      ];
      const urls = hosts.flatMap((host) => [`http://${host}:${port}/`, `ws://${host}:${port}/rpc`]);
      for (const url of urls) {
        const headers = { "x-forwarded-host": url, forwarded: `host=${url}`, referer: url, "x-original-url": url };
        const lines = [url, ["url", url]].flatMap((value, i) => callOf("getUserProfile", [value], i + 1));
        await post(`${gateway()}/rpc/batch`, { headers, body: linesOf(...lines) });
        const intro = { introduction: "A".repeat(24), home: url, instance: "B".repeat(16) };
        for (const door of target.innerDoors.orders) {
          expect(refusalOf(await door.exchange(callOf("listOrders", [intro])))).toBe("permission_denied");
        }
        await sendRaw(
          gateway(),
          `POST ${url}rpc/batch HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: close\r\n\r\n`,
        );
        await sendRaw(gateway(), `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`);
      }
      expect(dialled).toBe(0);
    } finally {
      await new Promise((resolve) => canary.close(resolve));
    }
  });

  attack("W9 is one request or none: nothing is smuggled behind another", async () => {
    const hidden = "GET /readyz HTTP/1.1\r\nhost: smuggled\r\n\r\n";
    const start = "POST /rpc/batch HTTP/1.1\r\nhost: x\r\n";
    const smuggled = [
      `${start}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
      `${start}content-length: 4\r\ncontent-length: 40\r\n\r\n${hidden}`,
      `${start}content-length: 4, 40\r\n\r\n${hidden}`,
      `${start}content-length: +4\r\n\r\n    ${hidden}`,
      `${start}content-length: 0x4\r\n\r\n    ${hidden}`,
      `${start}content-length: -1\r\n\r\n${hidden}`,
      `${start}content-length : 4\r\n\r\n    ${hidden}`,
      `${start}transfer-encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`,
      `${start}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n${hidden}`,
      `${start}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`,
      `${start}transfer-encoding: chunked\r\n\r\n0;\n\r\n\r\n${hidden}`,
      `${start}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n${hidden}`,
      `${start}x-folded: a\r\n b\r\ncontent-length: 0\r\n\r\n${hidden}`,
      `${start}x-nul: a\0b\r\ncontent-length: 0\r\n\r\n${hidden}`,
      `${start}x-bare: a\rcontent-length: 4\r\n\r\n${hidden}`,
      `GET /rpc/batch HTTP/1.1\nhost: x\n\n${hidden}`,
    ];
    for (const bytes of smuggled) {
      const answer = await sendRaw(gateway(), bytes);
      expect(answer.match(/HTTP\/1\.1 \d+/g), JSON.stringify(bytes)).toEqual(["HTTP/1.1 400"]);
      expect(answer).not.toContain("ready");
    }
  });

  attack("W10 is from where its socket is, whatever its headers say", async () => {
    const spoof = (i: number) => ({
      "x-forwarded-for": `10.0.${i}.1`,
      forwarded: `for=10.0.${i}.1;host=evil.example;proto=https`,
      "x-real-ip": `10.0.${i}.1`,
      "true-client-ip": `10.0.${i}.1`,
    });
    const opened: HostilePeer[] = [];
    let refused = "";
    try {
      for (let i = 0; i < 300 && refused === ""; i += 1) {
        await dial(gateway(), { headers: spoof(i) }).then(
          (peer) => opened.push(peer),
          (error: Error) => {
            refused = error.message;
          },
        );
      }
      expect(refused).toBe("refused: 429");
    } finally {
      for (const peer of opened) peer.socket.terminate();
    }
    await until(async () => (await post(`${gateway()}/rpc/batch`)).status === 200, "there is room again");
    const plain = await post(`${gateway()}/readyz`, { method: "GET" });
    for (const host of ["evil.example", "127.0.0.1:1", "a\tb", ""]) {
      const headers = { host, "x-forwarded-host": host, "x-forwarded-proto": "gopher" };
      const spoofed = await post(`${gateway()}/readyz`, { method: "GET", headers });
      expect([spoofed.status, spoofed.text, spoofed.headers.location]).toEqual([plain.status, plain.text, undefined]);
    }
  });
});

describe("what operators see", () => {
  attack("W14 metrics, details and debugging are on no public listener", async () => {
    const paths = ["/metrics", "/debug", "/debug/pprof", "/admin", "/ops", "/stats", "/json/list", "/.env", "/config"];
    for (const name of serviceNames) {
      const url = target.shop.urls[name];
      for (const path of [...paths, "/rpc/../metrics", "/%6detrics", "//metrics", "/metrics?x=/readyz"]) {
        for (const method of ["GET", "POST", "TRACE"]) {
          const { status, text } = await post(`${url}${path}`, { method });
          expect([404, 405], `${name} ${method} ${path}`).toContain(status);
          expect(text.length).toBeLessThan(200);
        }
      }
      for (const path of ["/readyz", "/readyz?verbose=1", "/healthz"]) {
        const { text } = await post(`${url}${path}`, { method: "GET" });
        expect(Object.keys(JSON.parse(text) as object).sort()).toEqual(["service", "status"]);
      }
    }
    await using second = await secondGateway();
    expect(new URL(second.opsUrl!).hostname).toBe("127.0.0.1");
    expect(new URL(second.opsUrl!).port).not.toBe(new URL(second.url).port);
    expect((await post(`${second.opsUrl}/metrics`, { method: "GET" })).status).toBe(200);
    expect((await post(`${second.url}/metrics`, { method: "GET" })).status).toBe(404);
  });

  attack("W15 a caller's words make no series of figures", async () => {
    await using second = await secondGateway();
    const read = async () => (await post(`${second.opsUrl}/metrics`, { method: "GET" })).text.split("\n");
    const series = (lines: readonly string[]) =>
      new Set(lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.replace(/ \S+$/, "")));
    await post(`${second.url}/rpc/batch`, { body: "garbage" });
    const before = series(await read());
    for (let i = 0; i < 100; i += 1) {
      const headers = {
        "flotilla-hello": `canary${i}`,
        "user-agent": `canary${i}`,
        origin: `https://canary${i}.example`,
      };
      await post(`${second.url}/canary${i}`, { headers });
      await post(`${second.url}/rpc/batch`, { headers, body: linesOf(...callOf(`canary${i}`, [`canary${i}`])) });
      await post(`${second.url}/rpc/batch`, { body: linesOf(...callOf(`canary${i}`, [`canary${i}`])) });
      await post(`${second.url}/rpc/batch`, { body: linesOf([`canary${i}`], ["push", [`canary${i}`]]) });
      await post(`${second.url}/rpc/batch`, { method: `CANARY${i}`.replace(/\d/g, "X") }).catch(() => {});
    }
    const after = await read();
    expect(after.join("\n")).not.toContain("canary");
    // At most one for the refusal of an origin, and the collector's own kinds.
    expect(series(after).size - before.size).toBeLessThanOrEqual(10);
  });

  attack("W12 no text of a caller's breaks a log line or writes to a terminal", async () => {
    const offsets = serviceNames.map((name) => target.shop.output(name).length);
    const evil = 'x\r\n{"level":"fatal","msg":"forged"}\n\u001b[2J\u001b]0;owned\u0007\u2028\u0000\b';
    const token = target.tokens.charlie;
    for (const door of target.doors) {
      await door.exchange(callOf(evil, [evil]));
      await door.exchange(callOf("login", [evil.slice(0, 64), evil]));
      await door.exchange(callOf("listUsers", [evil]));
      await door.exchange(callOf("createOrder", [token, list({ ...laptop, name: evil })]));
      await door.exchange(callOf("createOrder", [token, list({ ...laptop, [evil]: evil })]));
      await door.exchange(callOf("cancelOrder", [target.tokens.alice, evil.slice(0, 32)]));
      await door.exchange([["push", ["pipeline", 0, [evil], []]], [evil], ["pull", 1]]);
      await door.exchange([["abort", ["error", evil, evil, evil, { code: evil }]]]);
    }
    for (const door of [...target.innerDoors.users, ...target.innerDoors.orders])
      await door.exchange(callOf(evil, [evil]));
    for (const raw of ["\u001b[2J", "\u0007", "%0d%0a", "%1b%5b2J"]) {
      await sendRaw(gateway(), `GET /${raw} HTTP/1.1\r\nhost: x\r\nx-${raw}: ${raw}\r\nconnection: close\r\n\r\n`);
    }
    for (const [index, name] of serviceNames.entries()) {
      const written = target.shop.output(name).slice(offsets[index]);
      expect(written).not.toMatch(/[^\P{Cc}\n]|\u2028/u);
      for (const line of written.split("\n")) if (line !== "") expect(() => JSON.parse(line)).not.toThrow();
      expect(written).not.toContain('"level":"fatal"');
    }
  });
});

test("W17 nobody but their owner can read the data, the keys or the stores", () => {
  const modeOf = (...path: string[]) => statSync(join(target.shop.dataDir, ...path)).mode & 0o777;
  expect(modeOf()).toBe(0o700);
  expect(modeOf("keys")).toBe(0o700);
  for (const name of serviceNames) expect(modeOf("keys", `${name}.key`), name).toBe(0o600);
  for (const name of ["users", "orders"]) {
    for (const file of [`${name}.db`, `${name}.db-wal`, `${name}.db-shm`]) {
      const stats = statSync(join(target.shop.dataDir, file), { throwIfNoEntry: false });
      if (stats) expect(stats.mode & 0o077, file).toBe(0);
    }
  }
});

test("W18 what is installed is what the lock file says, and nothing of it runs when it is", () => {
  const root = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");
  const lock = JSON.parse(root("package-lock.json")) as { packages: Record<string, Record<string, unknown>> };
  const foreign = Object.entries(lock.packages).filter(([path, { link }]) => path.startsWith("node_modules/") && !link);
  expect(foreign.length).toBeGreaterThan(50);
  expect(foreign.filter(([, { integrity }]) => !String(integrity).startsWith("sha512-")).map(([path]) => path)).toEqual(
    [],
  );
  expect(foreign.filter(([, it]) => it.hasInstallScript).map(([path]) => path)).toEqual([]);
  for (const name of ["package.json", "kit/package.json", "shop/package.json"]) {
    const { scripts = {}, dependencies = {} } = JSON.parse(root(name)) as Record<string, Record<string, string>>;
    for (const hook of ["preinstall", "install", "postinstall", "prepare"])
      expect(Object.keys(scripts)).not.toContain(hook);
    // One exact version each, of a registry: no range, no repository, no address.
    for (const [to, version] of Object.entries(dependencies))
      expect(`${to} ${version}`).toMatch(/ (\d+\.\d+\.\d+|\*)$/);
  }
});
