import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { until } from "../process-harness.ts";
import { makeRandom } from "../random.ts";
import { makeProxy, type ProxyOptions, type Wire } from "./proxy.ts";

/** A pair of sockets with a proxy between them; `far` is the one that was connected to. */
interface Pair extends AsyncDisposable {
  readonly proxy: Wire;
  readonly near: Socket;
  readonly far: Socket;
}

async function makePair(random: ProxyOptions["random"] = makeRandom(1)): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const proxy = await makeProxy({ target: `http://127.0.0.1:${port}`, random });
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const near = connect({ port: Number(new URL(proxy.url).port), host: "127.0.0.1", allowHalfOpen: true });
  near.on("error", () => {});
  const [far] = await accepted;
  far.on("error", () => {});
  return {
    proxy,
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      await proxy[Symbol.asyncDispose]();
      server.close();
      await once(server, "close");
      expect(proxy.open).toBe(0);
    },
  };
}

/** Collects what `socket` reads. */
function reading(socket: Socket): { bytes: number; text: string } {
  const read = { bytes: 0, text: "" };
  socket.on("data", (chunk: Buffer) => {
    read.bytes += chunk.length;
    if (read.text.length < 100) read.text += chunk.toString();
  });
  return read;
}

test("late bytes come late, and in their order whatever the jitter", async () => {
  await using pair = await makePair();
  pair.proxy.setWeather({ latencyMs: 50, jitterMs: 50 });
  const read = reading(pair.far);
  const startedAtMs = performance.now();
  for (const word of ["a", "b", "c", "d"]) {
    pair.near.write(word);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => read.bytes === 4, "all is read");
  expect(performance.now() - startedAtMs).toBeGreaterThan(49);
  expect(read.text).toBe("abcd");
});

test("a stalled direction passes nothing, the other goes on, and what was held comes when the stall is over", async () => {
  await using pair = await makePair();
  const [there, back] = [reading(pair.far), reading(pair.near)];
  pair.proxy.setWeather({ stalled: ["there"] });
  pair.near.write("lost?");
  pair.far.write("heard");
  await until(() => back.text === "heard", "the other direction passes");
  expect(there.text).toBe("");
  pair.proxy.setWeather({ stalled: [] });
  await until(() => there.text === "lost?", "what was held is delivered");
});

test("a bandwidth holds so much per second, and who sends more is not read from", async () => {
  await using pair = await makePair();
  pair.proxy.setWeather({ bytesPerSecond: 256 * 1024 });
  const read = reading(pair.far);
  const startedAtMs = performance.now();
  pair.near.write(Buffer.alloc(4 * 2 ** 20));
  await until(() => read.bytes > 128 * 1024, "half a second's bytes are there");
  expect(performance.now() - startedAtMs).toBeGreaterThan(400);
  // What one read brings above it, and no more: the rest waits at its sender.
  expect(pair.proxy.heldBytes).toBeLessThan(512 * 1024);
});

test("a reset is a reset on both sides", async () => {
  await using pair = await makePair();
  const errors: unknown[] = [];
  for (const socket of [pair.near, pair.far]) socket.on("error", (error) => errors.push(error));
  pair.proxy.reset();
  await until(() => errors.length === 2, "both hear of it");
  expect(errors).toMatchObject([{ code: "ECONNRESET" }, { code: "ECONNRESET" }]);
});

test("half closed, the one side hears the end and may still write", async () => {
  await using pair = await makePair();
  const back = reading(pair.near);
  const ended = once(pair.far, "end");
  pair.far.resume();
  pair.proxy.halfClose("there");
  await ended;
  pair.far.write("still here");
  await until(() => back.text === "still here", "the other direction passes");
});

test("what refuses is refused at once, leaves open connections alone, and accepts again at the same address", async () => {
  await using pair = await makePair();
  const port = Number(new URL(pair.proxy.url).port);
  await pair.proxy.refuse();
  const [error] = await once(
    connect(port, "127.0.0.1").on("connect", () => {}),
    "error",
  ).catch((thrown) => [thrown]);
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
  const there = reading(pair.far);
  pair.near.write("on");
  await until(() => there.text === "on", "the open connection passes");
  await pair.proxy.accept();
  const again = connect(port, "127.0.0.1");
  await once(again, "connect");
  again.destroy();
});
