import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Attack, all, pick, times } from "./adversary-attack.ts";
import { dial, exchange, Finding, get, inspect, post, statusOf, upgradeRequest } from "./adversary-wire.ts";

/** Longer than a server may wait for a request: 10 s. */
const tricklesMs = 12_000;

/** Connections that say one more byte from time to time are not kept. */
export async function trickle(attack: Attack, start: string, drop: string): Promise<void> {
  const wires = await Promise.all(all(attack).flatMap((port) => times(10, () => dial(port))));
  for (const wire of wires) wire.send(start);
  const startMs = performance.now();
  while (performance.now() < Math.min(attack.endMs, startMs + tricklesMs) && wires.some(({ isOpen }) => isOpen)) {
    await delay(200);
    for (const wire of wires) wire.send(drop);
  }
  const kept = wires.filter(({ isOpen }) => isOpen).length;
  for (const wire of wires) wire.end();
  if (kept > 0 && performance.now() >= startMs + tricklesMs)
    throw new Finding(`${kept} trickling connections are kept for ever`);
}

const malformed: readonly string[] = [
  "\r\n\r\n\r\n",
  "GET\r\n\r\n",
  "GET / HTTP/9.9\r\n\r\n",
  "GET /healthz HTTP/1.1\r\n\r\n",
  "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "GET /healthz HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
  "GET /healthz HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
  "GET /healthz HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
  "GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n",
  "TRACE / HTTP/1.1\r\nHost: x\r\nCookie: a\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
  "POST /rpc/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
  "POST /rpc/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
  "POST /rpc/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
  "POST /rpc/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
  `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\nHost: x\r\n${times(3_000, (n) => `h${n}: v`).join("\r\n")}\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(70_000)}\r\n\r\n`,
  post("", ["Expect: 100-continue"]),
  post("x", ["Expect: 999-nonsense"]),
  post("\x1f\x8b\x08\0", ["Content-Encoding: gzip"]),
];

export async function malformedHttp(attack: Attack): Promise<void> {
  for (const port of all(attack)) {
    await Promise.all(malformed.map((request) => exchange(port, Buffer.from(request, "latin1"), 500)));
    await exchange(port, randomBytes(1_000), 300);
  }
}

const hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/** Two ways to say where a body ends: whoever takes both, answers a request that a proxy before it did not see. */
export async function smuggling(attack: Attack): Promise<void> {
  const ambiguous = [
    ["Content-Length: 4", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ["Transfer-Encoding: xchunked"],
    ["Transfer-Encoding : chunked"],
    ["Content-Length: 0", "Content-Length: 5"],
    ["Content-Length: 0, 5"],
    ["Content-Length: +0"],
    ["Transfer-Encoding:\x0bchunked"],
  ];
  for (const port of all(attack)) {
    for (const headers of ambiguous) {
      const wire = await dial(port);
      const head = ["POST /rpc/batch HTTP/1.1", "Host: x", ...headers].join("\r\n");
      wire.send(`${head}\r\n\r\n0\r\n\r\n${hidden}`);
      const heard = inspect((await wire.until(() => false, 150)).toString("latin1"));
      wire.end();
      if (heard.includes('"status":"ok"'))
        throw new Finding(`${port.name} answered a smuggled request after ${headers.join(", ")}`);
    }
  }
}

const strangers: readonly (readonly string[])[] = [
  [],
  ["Sec-WebSocket-Protocol: flotilla.v1"],
  ["flotilla-hello: x.y"],
  ["flotilla-hello:"],
  [`flotilla-hello: ${Buffer.from('{"from":"gateway","to":"users"}').toString("base64url")}.AAAA`],
  [`flotilla-hello: ${"A".repeat(5_000)}`],
  ["Authorization: Bearer admin", "X-Forwarded-For: 127.0.0.1", "X-Flotilla-Peer: gateway"],
];

/** Whoever has no key is served nothing by the services inside, and no web page is by anybody. */
export async function strangersAtTheDoor(attack: Attack): Promise<void> {
  for (const port of attack.inner) {
    for (const headers of strangers) {
      const upgraded = await exchange(port, upgradeRequest(headers));
      if (statusOf(upgraded) !== 401) throw new Finding(`${port.name} opened to a stranger: ${upgraded.slice(0, 300)}`);
      const answer = await exchange(port, post('["push",["pipeline",0,["listUsers"],[]]]\n["pull",1]', headers));
      if (statusOf(answer) !== 401) throw new Finding(`${port.name} answered a stranger: ${answer.slice(0, 300)}`);
    }
  }
  for (const port of all(attack)) {
    for (const origin of ["https://evil.example", "null", `http://${port.host}:${port.port}`]) {
      const answer = await exchange(port, upgradeRequest([`Origin: ${origin}`]));
      if (statusOf(answer) === 101) throw new Finding(`${port.name} opened to the web page ${origin}`);
    }
  }
}

const secretPaths = [
  "/metrics",
  "/debug",
  "/debug/pprof",
  "/.env",
  "/.git/config",
  "/package.json",
  "/admin",
  "/rpc/../../etc/passwd",
  "/%2e%2e/%2e%2e/etc/passwd",
  "/keys/users.key",
  "/data/users.db",
  "//healthz/../metrics",
  "/rpc",
  "/rpc/batch",
];

export async function secretPathsAsked(attack: Attack): Promise<void> {
  for (const port of all(attack)) {
    for (const path of secretPaths) {
      const answer = await exchange(port, get(path));
      if (statusOf(answer) === 200) throw new Finding(`${port.name} answers ${path}: ${answer.slice(0, 200)}`);
    }
  }
}

const badUpgrades: readonly string[] = [
  get("/rpc", ["Connection: Upgrade", "Upgrade: websocket"]),
  get("/rpc", [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  ]),
  get("/rpc", ["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]),
  upgradeRequest(["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]),
  upgradeRequest([`Sec-WebSocket-Protocol: ${times(2_000, (n) => `p${n}`).join(", ")}`]),
  upgradeRequest(["Sec-WebSocket-Protocol: ,,;"]),
  upgradeRequest(["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99"]),
  upgradeRequest([], "/rpc/batch"),
  upgradeRequest([], "/rpc?x=%00"),
  upgradeRequest().replace("GET", "POST"),
  upgradeRequest(["Content-Length: 10"]),
];

export async function badUpgradesAsked(attack: Attack): Promise<void> {
  for (const port of all(attack)) await Promise.all(badUpgrades.map((request) => exchange(port, request, 500)));
}

export async function flood(attack: Attack): Promise<void> {
  for (const port of all(attack)) {
    const wires = await Promise.all(times(300, () => dial(port)));
    for (const [at, wire] of wires.entries()) wire.send(at % 2 ? upgradeRequest() : get("/healthz"));
    await delay(200);
    for (const [at, wire] of wires.entries()) at % 3 ? wire.end() : wire.socket.resetAndDestroy();
  }
}

export async function pipelinedRequests(attack: Attack): Promise<void> {
  const wire = await dial(pick(all(attack), attack));
  wire.send(get("/healthz").repeat(2_000));
  inspect((await wire.until(() => false, 500)).toString("latin1"));
  wire.end();
}

export async function halfRequests(attack: Attack): Promise<void> {
  const whole = post('["push",["pipeline",0,["listUsers"],["x"]]]\n["pull",1]');
  await Promise.all(
    times(60, async () => {
      const wire = await dial(attack.gateway);
      wire.send(whole.slice(0, Math.floor(attack.random() * whole.length)));
      await delay(20);
      wire.socket.resetAndDestroy();
    }),
  );
}
