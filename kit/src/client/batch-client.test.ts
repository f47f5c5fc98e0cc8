import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import type { FlotillaError } from "../base/errors.ts";
import { RpcTarget } from "../rpc/stub.ts";
import { serve } from "../server/serve.ts";
import { until } from "../testing/until.ts";
import { openBatch } from "./batch-client.ts";

interface Desk extends RpcTarget {
  hello(): string;
}

class DeskTarget extends RpcTarget {
  hello() {
    return "hello";
  }
}

async function serveHttp(listener: RequestListener): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a call after a turn in which nothing was called fails at once", async () => {
  const posted: string[] = [];
  const post = async (body: string) => {
    posted.push(body);
    return "";
  };
  using batch = openBatch<Desk>({ url: "http://home/", post });
  await new Promise(setImmediate);
  await expect(Promise.resolve(batch.main.hello())).rejects.toMatchObject({ reason: "batch_ended" });
  expect(posted).toEqual([]);
});

test("disposing a batch ends its request", async () => {
  const requests = { begun: 0, closed: 0 };
  await using server = await serveHttp((_, response) => {
    requests.begun += 1;
    response.on("close", () => (requests.closed += 1));
  });
  const batch = openBatch<Desk>({ url: server.url });
  const call = Promise.resolve(batch.main.hello());
  await until(() => requests.begun === 1, "it was sent");
  batch[Symbol.dispose]();
  await expect(call).rejects.toMatchObject({ reason: "batch_ended" });
  await until(() => requests.closed === 1, "it was given up");
});

test("a refusal is believed field by field", async () => {
  const fields = { code: "not_found", retryable: false, reason: "no_desk", requestId: { a: 1 }, cause: "theirs" };
  const refusals = [
    [{ ...fields, message: "no" }, ["not_found", "no_desk", undefined, undefined]],
    [{ ...fields, message: "no", retryable: "no" }, ["unavailable", undefined, undefined, undefined]],
    [{ ...fields, message: 7 }, ["unavailable", undefined, undefined, undefined]],
  ] as const;
  for (const [said, heard] of refusals) {
    await using server = await serveHttp((_, response) => {
      response.statusCode = 503;
      response.end(JSON.stringify(said));
    });
    using batch = openBatch<Desk>({ url: server.url });
    const error = await batch.main.hello().then(
      () => undefined,
      (thrown: unknown) => thrown as FlotillaError,
    );
    expect([error?.code, error?.reason, error?.requestId, error?.cause], JSON.stringify(said)).toEqual(heard);
  }
});

test("another path of one of ours is not found, for good", async () => {
  const server = await serve({ name: "desk", port: 0, main: () => new DeskTarget() });
  using batch = openBatch<Desk>({ url: server.url });
  const refused = { code: "not_found", retryable: false, requestId: expect.stringMatching(/^[0-9a-f]{32}$/) };
  await expect(Promise.resolve(batch.main.hello())).rejects.toMatchObject(refused);
  await server.drain();
});
