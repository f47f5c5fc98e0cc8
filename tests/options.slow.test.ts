import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { scripts: Record<string, string> };

function run(name: string, ...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  // The program that set-up runs.
  const [program] = /\S+\.(ts|js \w+)$/.exec(scripts[name] ?? "") ?? [];
  if (!program) throw new Error(`npm run ${name} runs no program`);
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      // Node can hang at its end while V8 still optimises (nodejs/node#54918).
      ["--no-maglev", ...program.split(" "), ...args],
      { cwd: root, timeout: 20_000 },
      (_, out, err) => resolve({ code: child.exitCode, out, err }),
    );
  });
}

/** Each with a value that it cannot take. */
const checks: Record<string, readonly string[]> = {
  mutants: ["no-such-thing"],
  fuzz: ["--target", "no-such-thing"],
  differential: ["--programs", "no-such-thing"],
  adversary: ["--gateway", "no-such-thing"],
  chaos: ["--services", "no-such-thing"],
  rolling: ["--rounds", "no-such-thing"],
  soak: ["--minutes", "no-such-thing"],
  bench: ["--peers", "no-such-thing"],
  "bench:cold": ["no-such-thing"],
  "bench:scale": ["no-such-thing"],
  "bench:micro": ["no-such-thing"],
  "bench:stores": ["no-such-thing"],
};

describe.each(Object.entries(checks))("npm run %s", (name, wrong) => {
  it("answers --help with its usage and 0", async () => {
    const { code, out, err } = await run(name, "--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(`npm run ${name}`);
  });

  it.each([[["--no-such-thing"]], [wrong]])("refuses %j by name, with its usage and 2", async (args) => {
    const { code, out, err } = await run(name, ...args);
    expect({ code, out }, err).toEqual({ code: 2, out: "" });
    expect(err).toContain("no-such-thing");
    expect(err).toContain(`npm run ${name}`);
    expect(err).not.toMatch(/\n {4}at /);
  });
});

describe.each(["demo", "backup", "restore"])("npm run %s, which is a command of flotilla,", (name) => {
  it("answers --help with its usage and 0", async () => {
    const { code, out, err } = await run(name, "--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(`Usage: flotilla ${name}`);
  });

  it.each([[["--no-such-thing"]], [["nowhere", "no-such-thing"]]])(
    "refuses %j with 2 and says what helps",
    async (args) => {
      const { code, out, err } = await run(name, ...args);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain(`See \`flotilla ${name} --help\``);
    },
  );
});
