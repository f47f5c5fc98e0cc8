import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { patientOutput } from "./patient-output.ts";

test("what nobody reads is dropped and counted, and what comes after it is shown again", () => {
  const shown: string[] = [];
  let goOn = () => {};
  const stream = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      shown.push(text);
      goOn = done;
    },
  });
  const output = patientOutput(stream);
  const line = `${"x".repeat(1_023)}\n`;
  for (let n = 0; n < 5_000; n += 1) output.write(line);
  expect(stream.writableLength).toBeLessThanOrEqual(1024 * 1024);
  const kept = stream.writableLength / line.length;
  expect(kept).toBeGreaterThan(1_000);
  while (stream.writableLength > 0) goOn();
  output.write("again\n");
  while (stream.writableLength > 0) goOn();
  expect(shown.slice(kept)).toEqual([`(${5_000 - kept} messages that nobody read were dropped)\n`, "again\n"]);
});
