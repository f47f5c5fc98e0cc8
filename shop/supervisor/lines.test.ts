import { once } from "node:events";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { lineCharsMax, readLines } from "./lines.ts";

async function linesOf(...chunks: (string | Buffer)[]): Promise<string[]> {
  const lines: string[] = [];
  const stream = Readable.from(chunks, { objectMode: false });
  readLines(stream, (line) => lines.push(line));
  await once(stream, "end");
  return lines;
}

test("lines arrive whole, however they were cut on the way", async () => {
  const text = Buffer.from("one\nzwölf\r\n\nlast");
  expect(await linesOf(text.subarray(0, 6), text.subarray(6, 7), text.subarray(7))).toEqual(["one", "zwölf", "last"]);
});

test("a line without end is cut in pieces of bounded size", async () => {
  const lines = await linesOf("x".repeat(lineCharsMax * 2 + 1), "\n");
  expect(lines.map((line) => line.length)).toEqual([lineCharsMax, lineCharsMax, 1]);
});
