import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { FlotillaError } from "@flotilla/kit";
import { expect, test } from "vitest";
import { describeError, makeLog } from "./log.ts";

function logged(level: string, write: (log: ReturnType<typeof makeLog>) => void): string[] {
  const lines: string[] = [];
  write(makeLog("orders", level, { write: (line) => void lines.push(line) }));
  return lines;
}

test("an event is one JSON line with level, service, time and message", () => {
  const lines = logged("info", (log) => log.warn({ requestId: "abc" }, "two\nlines"));
  expect(lines).toHaveLength(1);
  expect(lines[0]?.trimEnd().split("\n")).toHaveLength(1);
  const event = JSON.parse(lines[0]!);
  expect(event).toEqual({
    level: "warn",
    time: expect.any(String),
    service: "orders",
    requestId: "abc",
    msg: "two\nlines",
  });
  expect(new Date(event.time).toISOString()).toBe(event.time);
});

test("what is below the level is not written", () => {
  expect(logged("warn", (log) => log.info("quiet"))).toEqual([]);
});

test("of an error name, message, stack and cause are told, and no property a driver or a peer put on it", () => {
  const cause = Object.assign(new Error("connect refused"), { address: "10.1.2.3", password: "swordfish" });
  const error = Object.assign(new FlotillaError("internal", "Internal error", { cause }), { token: "secret" });
  const [line] = logged("info", (log) => log.error({ err: error }, "a call failed"));
  expect(JSON.parse(line!).err).toEqual({
    name: "internal",
    message: "Internal error",
    stack: expect.stringContaining("log.test.ts"),
    cause: { name: "Error", message: "connect refused" },
  });
  for (const secret of ["swordfish", "10.1.2.3", "secret"]) expect(line).not.toContain(secret);
});

test("no text is longer than 2,000 characters", () => {
  const long = new Error("x".repeat(10_000), { cause: new Error("y".repeat(10_000)) });
  const described = describeError(long) as { message: string; stack: string; cause: { message: string } };
  expect(JSON.stringify(described).length).toBeLessThan(1_800);
  expect(describeError("z".repeat(10_000))).toEqual({ message: "z".repeat(400) });
});

test("what was thrown and is no error is told as text", () => {
  expect(describeError(undefined)).toEqual({ message: "undefined" });
  expect(describeError(7)).toEqual({ message: "7" });
});

test("a log that nobody reads stops no service: what does not fit is dropped and counted", async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("fixtures/chatter.ts", import.meta.url))], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  try {
    const seen: { lines: number; dropped: number }[] = [];
    for (let n = 0; n < 6; n += 1) {
      const [message] = (await once(child, "message")) as [(typeof seen)[0]];
      seen.push(message);
      if (n < 5) child.send({});
    }
    // More than the pipe and what we keep hold together, and every question was answered meanwhile.
    expect(seen.at(-1)).toMatchObject({ lines: 25_000 });
    expect(seen.at(-1)!.dropped).toBeGreaterThan(5_000);
    let read = 0;
    child.stderr?.on("data", (chunk: Buffer) => {
      read += chunk.length;
    });
    const ended = once(child, "exit");
    child.disconnect();
    expect(await ended).toEqual([7, null]);
    expect(read).toBeGreaterThan(0);
  } finally {
    child.kill("SIGKILL");
  }
});
