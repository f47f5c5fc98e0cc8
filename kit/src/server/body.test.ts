import { expect, test } from "vitest";
import { batchBytesMax } from "../base/limits.ts";
import { makeDesk } from "../testing/desk.ts";
import { ask, sendRaw } from "../testing/http.ts";
import { makeRig } from "../testing/rig.ts";
import { makeGrowingBytes } from "./body.ts";

const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

test("chunks are copied into one buffer, never more than twice as large as what has come", () => {
  const bytes = makeGrowingBytes();
  const chunk = new Uint8Array(1);
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < batchBytesMax; i += 1) {
    // The same memory every time: a chunk that was kept would show the last value.
    chunk[0] = i % 251;
    bytes.add(chunk);
    buffers.add(bytes.all().buffer);
  }
  expect(bytes.length).toBe(batchBytesMax);
  expect(bytes.all()).toEqual(Uint8Array.from({ length: batchBytesMax }, (_, i) => i % 251));
  expect(bytes.all().buffer.byteLength).toBeLessThanOrEqual(2 * batchBytesMax);
  expect(buffers.size).toBeLessThan(10);
});

test("a chunk that is larger than all before it fits", () => {
  const bytes = makeGrowingBytes();
  const large = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
  bytes.add(large.subarray(0, 3));
  bytes.add(large.subarray(3));
  expect(bytes.all()).toEqual(large);
});

test("a batch in chunks of one byte is answered", async () => {
  await using rig = makeRig();
  const { url } = await rig.serve({ main: makeDesk().mainFor });
  const chunks = [...add, ..." ".repeat(5_000)].map((byte) => `1\r\n${byte}\r\n`).join("");
  const head = "POST /rpc/batch HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
  expect(await sendRaw(url, `${head}${chunks}0\r\n\r\n`)).toContain('["resolve",1,3]');
});

test("a body that is not UTF-8 is refused and runs nothing, and a byte order mark before it is dropped", async () => {
  await using rig = makeRig();
  const desk = makeDesk();
  const { url } = await rig.serve({ main: desk.mainFor });
  const post = async (body: Uint8Array<ArrayBuffer>) => {
    const response = await fetch(`${url}/rpc/batch`, { method: "POST", body });
    return { status: response.status, text: await response.text() };
  };
  const wrong = await post(new Uint8Array([...Buffer.from(`${add}\n`), 0xff]));
  expect([wrong.status, JSON.parse(wrong.text)]).toMatchObject([
    400,
    { code: "invalid_argument", message: "The body is not valid UTF-8" },
  ]);
  expect(desk.calls).toEqual([]);
  expect(await post(new Uint8Array([0xef, 0xbb, 0xbf, ...Buffer.from(add)]))).toMatchObject({
    status: 200,
    text: '["resolve",1,3]',
  });
});

test("a body of empty lines and messages takes so many messages, whether or not they call", async () => {
  await using rig = makeRig();
  const { url } = await rig.serve({ main: makeDesk().mainFor });
  const releases = Array.from({ length: 1_000 }, (_, i) => `["release",${i + 1},1]`).join("\n\n");
  const { status, text } = await ask(`${url}/rpc/batch`, { body: `${releases}\n${add}` });
  expect([status, JSON.parse(text).reason]).toEqual([429, "protocol_limit"]);
});
