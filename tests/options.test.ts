import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a check as `npm run` does. */
function run(file: string, ...args: string[]): Promise<Ended> {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [path, ...args], (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

describe("the command line of a check", () => {
  it.concurrent("answers --help with what it knows, and 0", async () => {
    const { code, out, err } = await run("tests/mutants.ts", "--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^npm run mutants -- \[WORD\]/);
  });

  it.concurrent("names a word that stands for nothing, and what does, with 2", async () => {
    const { code, out, err } = await run("tests/mutants.ts", "no-such-thing");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^No promise has "no-such-thing" in it. The promises:\n {2}\S/);
    expect(err).toContain("  I8 a batch is torn down\n");
  });

  it.concurrent("names an option that is not known, with 2 and without a stack", async () => {
    const { code, err } = await run("tests/mutants.ts", "--no-such-thing");
    expect(code).toBe(2);
    expect(err).toMatch(/^Unknown option '--no-such-thing'/);
    expect(err).not.toMatch(/\n {4}at /);
  });

  it.concurrent.each([[["1", "2", "3"]], [[]], [["no-such-file"]], [["bench/hot.ts"]]])(
    "refuses words that it cannot use, such as %j",
    async (words) => {
      const { code, err } = await run("bench/hot.ts", ...words);
      expect(code).toBe(2);
      expect(err).toContain("node bench/hot.ts FILE.cpuprofile [N]");
      expect(err).not.toMatch(/\n {4}at /);
    },
  );
});
