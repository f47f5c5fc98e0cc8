import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { makeRig, until } from "@flotilla/kit/testing";
import { describe, expect, test } from "vitest";
import { blocksOf } from "../tests/documents.ts";
import { type Calculator, calculatorFor } from "./calculator/calculator.ts";
import { calculate } from "./calculator/main.ts";
import { chat } from "./chat/main.ts";
import { meet } from "./peer-to-peer/main.ts";
import { startPeer } from "./peer-to-peer/peer.ts";

const run = promisify(execFile);
const here = fileURLToPath(new URL(".", import.meta.url));
const scripts = JSON.parse(readFileSync(join(here, "..", "package.json"), "utf8")).scripts as Record<string, string>;
const examples = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

test("each example has a script, and the list of examples has each", () => {
  const list = readFileSync(join(here, "README.md"), "utf8");
  expect(examples).toEqual(["calculator", "chat", "peer-to-peer"]);
  for (const name of examples) {
    expect(scripts[`example:${name}`]).toBe(`exec node scripts/setup.js examples/${name}/main.ts`);
    expect(list).toContain(`npm run example:${name}`);
  }
});

describe.each(examples)("the example %s", (name) => {
  const blocks = blocksOf(readFileSync(join(here, name, "README.md"), "utf8"));

  test("is in its README whole, piece by piece", () => {
    const files = readdirSync(join(here, name)).filter((file) => file.endsWith(".ts"));
    const inReadme = Object.groupBy(
      blocks.filter(({ language }) => language === "ts"),
      ({ file }) => file ?? "",
    );
    expect(Object.keys(inReadme).sort()).toEqual(files);
    for (const file of files) {
      // Blank lines between pieces belong to neither.
      const lines = (text: string) => text.split("\n").filter((line) => line.trim() !== "");
      const pieces = inReadme[file]!.map(({ text }) => text).join("\n");
      expect(lines(pieces)).toEqual(lines(readFileSync(join(here, name, file), "utf8")));
    }
  });

  test("ends by itself and prints what its README says", async () => {
    const [command, output] = blocks.filter(({ language }) => language !== "ts");
    expect(command).toMatchObject({ language: "sh", text: `npm run -s example:${name}\n` });
    const { stdout, stderr } = await run(process.execPath, [join(here, name, "main.ts")], { timeout: 60_000 });
    expect(stdout).toBe(output?.text);
    expect(stderr).toBe("");
  });
});

test("the calculator's client holds nothing at its end", async () => {
  await using rig = makeRig();
  const server = await rig.serve({ main: calculatorFor });
  const connection = rig.connect<Calculator>({ url: server.url });
  await connection.opened();
  const said: string[] = [];
  await calculate(connection.main, (line) => said.push(line));
  expect(said).toHaveLength(5);
});

test("a chat leaves no seat taken, no socket open and no rejection unheard", async () => {
  await using _ = makeRig();
  const said: string[] = [];
  await chat((line) => said.push(line));
  expect(said.at(-1)).toBe("seats taken: 0");
});

test("peers who part leave no socket, listener or rejection behind", async () => {
  await using _ = makeRig();
  await meet(() => {});
});

test("a peer holds nothing of a notebook that was let go of", async () => {
  await using rig = makeRig();
  const keys = mkdtempSync(join(tmpdir(), "flotilla-peers-"));
  rig.onEnd(() => rmSync(keys, { recursive: true }));
  const [ann, ben] = [
    await startPeer("ann", { keys, friends: [] }),
    await startPeer("ben", { keys, friends: ["ann"] }),
  ];
  rig.onEnd(() => Promise.all([ann.stop(), ben.stop()]));
  const link = ann.linkTo(ben);
  {
    using notebook = link.main.notebook();
    expect(await notebook.read(3)).toBe("page 3 of ben's notebook");
    expect(ben.held().exports).toBeGreaterThan(1);
  }
  await until(() => ben.held().exports === 1 && link.stats().imports === 1, "only the main objects are held");
});
