import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { expect, test } from "vitest";
import { type Certificate, makeCertificate, trust } from "../../../tests/certificate.ts";
import type { FlotillaError } from "../base/errors.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";

const hourMs = 3_600_000;

/** Terminates TLS in front of `to`, as a proxy does. @returns its port. */
async function terminate(rig: Rig, certificate: Certificate, to?: number): Promise<number> {
  const server = createTlsServer(certificate, (socket) => {
    socket.on("error", () => socket.destroy());
    if (to === undefined) {
      socket.destroy();
      return;
    }
    const inner = connectSocket(to, "127.0.0.1");
    inner.on("error", () => socket.destroy());
    socket.on("close", () => inner.destroy());
    inner.on("close", () => socket.destroy());
    socket.pipe(inner).pipe(socket);
  });
  server.on("tlsClientError", () => undefined);
  return listening(rig, server);
}

/** @returns the port of `server`, which ends with the rig. */
async function listening(rig: Rig, server: Server | HttpServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  rig.onEnd(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  );
  return (server.address() as AddressInfo).port;
}

/** The error of a call to `url`, and the same problem as the log and the connection's report have it. */
async function refusal(rig: Rig, url: string): Promise<FlotillaError> {
  const problems: [FlotillaError, string][] = [];
  const connection = rig.connect<Desk>({ url, onProblem: (problem, at) => problems.push([problem, at]) });
  const error = await connection.main.add(1, 2).then(
    () => undefined,
    (thrown: FlotillaError) => thrown,
  );
  expect(error).toBeDefined();
  expect(connection.away).toBe(error);
  await until(() => problems.length > 0, "the problem told");
  expect(problems).toEqual([[error, url]]);
  connection.close();
  return error!;
}

const away = (reason: string, why: string) => ({
  code: "unavailable",
  retryable: true,
  reason,
  message: `home cannot be reached: ${why}`,
});

test("over TLS a session opens where the certificate is trusted and names the host", async () => {
  await using rig = makeRig();
  const { url } = await rig.serve({ main: makeDesk().mainFor });
  const certificate = makeCertificate();
  using _ = trust(certificate);
  const port = await terminate(rig, certificate, Number(new URL(url).port));
  const connection = rig.connect<Desk>({ url: `https://localhost:${port}` });
  expect(await connection.main.add(1, 2)).toBe(3);
  expect(connection.away).toBeUndefined();
});

test.each<[string, string, string, Certificate, { isTrusted: boolean }]>([
  [
    "by an authority that is not trusted",
    "certificate_untrusted",
    "this process trusts no authority that signed its certificate (NODE_EXTRA_CA_CERTS adds one)",
    makeCertificate(),
    { isTrusted: false },
  ],
  [
    "that has expired",
    "certificate_expired",
    "its certificate has expired",
    makeCertificate({ fromMs: -2 * hourMs, untilMs: -hourMs }),
    { isTrusted: true },
  ],
  [
    "of tomorrow",
    "certificate_not_yet_valid",
    "its certificate is not valid yet (compare the clocks of the two machines)",
    makeCertificate({ fromMs: hourMs, untilMs: 2 * hourMs }),
    { isTrusted: true },
  ],
  [
    "for another host",
    "certificate_other_host",
    "its certificate is for another host name than its address has",
    makeCertificate({ host: "canary.example" }),
    { isTrusted: true },
  ],
])(
  "a certificate %s is named to the caller, without a word of the peer's",
  async (_, reason, why, certificate, how) => {
    await using rig = makeRig();
    using trusted = how.isTrusted ? trust(certificate) : undefined;
    const error = await refusal(rig, `https://localhost:${await terminate(rig, certificate)}`);
    expect(error).toMatchObject(away(reason, why));
    expect(JSON.stringify(error)).not.toContain("canary");
    // The log has what OpenSSL says, too.
    expect(error.cause).toBeInstanceOf(Error);
    expect(trusted === undefined).toBe(!how.isTrusted);
  },
);

test("TLS to a service that speaks plain HTTP is named, as is plain HTTP to one that expects TLS", async () => {
  await using rig = makeRig();
  const { url } = await rig.serve({ main: makeDesk().mainFor });
  const plain = await refusal(rig, url.replace("http:", "https:"));
  expect(plain).toMatchObject(away("tls_not_spoken", "it does not speak TLS, so its address has to begin with http:"));
  const silent = await refusal(rig, `http://localhost:${await terminate(rig, makeCertificate())}`);
  const closes = "it closed the connection without an answer (if it expects TLS, its address has to begin with https:)";
  expect(silent).toMatchObject(away("connection_dropped", closes));
});

test("a server that answers plain HTTP with a TLS alert, or with 400, expects TLS", async () => {
  await using rig = makeRig();
  const alerting = createServer((socket) => socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 70])));
  const alert = await refusal(rig, `http://localhost:${await listening(rig, alerting)}`);
  expect(alert).toMatchObject(away("tls_expected", "it expects TLS, so its address has to begin with https:"));
  const nginx = createHttpServer((_, response) => response.writeHead(400, { connection: "close" }).end("<html>canary"));
  const page = await refusal(rig, `http://localhost:${await listening(rig, nginx)}`);
  expect(page).toMatchObject({
    reason: "unexpected_answer",
    message: expect.stringMatching(/it may expect TLS, and an address with https: \(HTTP 400\)$/),
  });
});

test("two that cannot agree on TLS hear what OpenSSL says of it; one that hangs up at once is named", async () => {
  await using rig = makeRig();
  const old = createTlsServer({ ...makeCertificate(), minVersion: "TLSv1.1", maxVersion: "TLSv1.1" });
  old.on("tlsClientError", () => undefined);
  const unequal = await refusal(rig, `https://localhost:${await listening(rig, old)}`);
  const words = "the two could not agree on TLS (tlsv1 alert protocol version)";
  expect(unequal).toMatchObject(away("tls_failed", words));
  const port = await listening(
    rig,
    createServer((socket) => socket.destroy()),
  );
  const dropped = await refusal(rig, `https://localhost:${port}`);
  expect(dropped).toMatchObject(away("connection_dropped", "it closed the connection before TLS was agreed on"));
});

test("what speaks something else than HTTP is named", async () => {
  await using rig = makeRig();
  const port = await listening(
    rig,
    createServer((socket) => socket.end("SSH-2.0-canary\r\n")),
  );
  const error = await refusal(rig, `http://localhost:${port}`);
  expect(error).toMatchObject(away("unexpected_answer", "what listens at its address does not speak HTTP"));
});

test("a problem is told once, again when it is another, and again after a session", async () => {
  await using rig = makeRig();
  const told: (string | undefined)[] = [];
  const { url, drain } = await rig.serve({ main: makeDesk().mainFor });
  const port = Number(new URL(url).port);
  const connection = rig.connect<Desk>({ url, onProblem: ({ reason }) => told.push(reason) });
  await connection.opened();
  await drain();
  await until(() => told.length > 0, "the problem told");
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const { away: before } = connection;
    connection.retry();
    await until(() => connection.away !== before, "another attempt");
  }
  expect(told).toEqual(["connection_refused"]);
  const dropping = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => dropping.listen(port, "127.0.0.1", resolve));
  await until(() => told.length > 1, "the other problem told");
  await new Promise((resolve) => dropping.close(resolve));
  const again = await rig.serve({ port, main: makeDesk().mainFor });
  connection.retry();
  await until(() => connection.isOpen, "a session");
  expect(connection.away).toBeUndefined();
  await again.drain();
  await until(() => told.at(-1) === "connection_refused", "the first problem told again");
  expect(new Set(told)).toEqual(new Set(["connection_refused", "connection_dropped"]));
});
