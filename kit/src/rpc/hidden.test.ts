import { describe, expect, test } from "vitest";
import { spawnChild } from "../testing/child.ts";

const source = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** What a process writes whose implementation does `fault`, apart from the code that its caller got. */
async function linesOf(fault: string, options = ""): Promise<string[]> {
  await using child = spawnChild(`
    import { connect } from ${source("../client/connect.ts")};
    import { serve } from ${source("../server/serve.ts")};
    import { expose } from ${source("../capability/boundary.ts")};
    import { contract } from ${source("../capability/contract.ts")};
    const Desk = contract("Desk", { work: { params: [] } });
    const desk = { work() { ${fault} } };
    const server = await serve({ name: "desk", port: 0, main: (peer) => expose(Desk, desk, { peer }), ${options} });
    const desks = connect({ name: "desk", url: server.url });
    console.log(await desks.main.work().catch((error) => error.code + " " + error.requestId));
    desks.close();
    await server.drain();
  `);
  expect(await child.ended()).toBe(0);
  const lines = child.output().split("\n");
  expect(lines.pop()).toBe("");
  const heard = lines.find((line) => line.startsWith("internal "));
  expect(heard).toMatch(/^internal [0-9a-f]{32}$/);
  return lines.filter((line) => line !== heard).map((line) => line.replace(heard?.slice(9) ?? "", "REQUEST"));
}

describe("a fault that its caller hears of as `internal` only", () => {
  test("is one line on stderr when nobody said where it goes, with its stack and the request", async () => {
    const lines = await linesOf("return undefined.length;");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^flotilla: the peer heard only `internal`, request REQUEST: TypeError: Cannot read properties of undefined \(reading 'length'\) at Object\.work \(.*\) at /,
    );
  });

  test("tells neither its cause nor its properties, and no control character of its message", async () => {
    const fault = `throw Object.assign(
      new Error("it\\nbroke\\x1b[2J\\u202e\\u2028here %s %j", { cause: new Error("canary") }), { canary: "canary" });`;
    const [line = "", ...others] = await linesOf(fault);
    expect(others).toEqual([]);
    expect(line).toContain("Error: it broke [2J here %s %j at ");
    expect(line).not.toMatch(/canary|[\p{Cc}\p{Cf}\u2028]/u);
  });

  test("is not told when it is no error, but that it is none", async () => {
    expect(await linesOf('throw "canary";')).toEqual([expect.stringMatching(/thrown was no Error, but a string$/)]);
    expect(await linesOf("throw { canary: 1 };")).toEqual([
      expect.stringMatching(/thrown was no Error, but an object$/),
    ]);
    const unreadable = 'throw new Proxy(new Error("canary"), { getPrototypeOf() { throw new Error("canary"); } });';
    expect(await linesOf(unreadable)).toEqual([expect.stringMatching(/the error cannot be read$/)]);
  });

  test("takes at most 2 KB, of any characters", async () => {
    for (const text of ["x", "ü", "💥"]) {
      const [line = ""] = await linesOf(`throw new Error(${JSON.stringify(text)}.repeat(100_000));`);
      const bytes = Buffer.byteLength(`${line.replace("REQUEST", "0".repeat(32))}\n`);
      expect([text, bytes > 2_040, bytes <= 2_048, line.includes("\ufffd")]).toEqual([text, true, true, false]);
    }
  });

  test("is told to whoever listens, and then not on stderr", async () => {
    const options = "onHiddenError: (error) => console.log('heard ' + error.cause.message)";
    expect(await linesOf('throw new Error("it broke");', options)).toEqual(["heard it broke"]);
  });
});
