import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeGatewayClient } from "../shop/cli/gateway-client.ts";
import { runTenSteps } from "../shop/cli/ten-steps.ts";
import { startSystem } from "../shop/supervisor/system.ts";
import { eachService } from "../shop/topology.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const scripts: Record<string, string> = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;

interface Block {
  readonly info: string;
  readonly text: string;
}

function blocksOf(document: string): readonly Block[] {
  return [...document.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(([, info = "", text = ""]) => ({ info, text }));
}

const blocks = blocksOf(readme);
const textAfter = (block: Block) => blocks[blocks.indexOf(block) + 1]?.text;
/** The programs stand at the root of the repository for who reads them, and two folders deeper when they are tried. */
const programs = blocks
  .filter(({ info }) => info === "ts")
  .map((block) => ({ prints: textAfter(block), text: block.text.replaceAll('"./shop/', '"../../shop/') }));

/** Within the repository, so that packages are found as from anywhere in it. */
const workDir = mkdtempSync(join(root, "tests", ".readme-"));
const dataDir = mkdtempSync(join(tmpdir(), "flotilla-readme-"));
let system: ReturnType<typeof startSystem>;
let gatewayUrl = "";

beforeAll(async () => {
  const ports = eachService(() => 0);
  system = startSystem({ placement: { mode: "development", host: "127.0.0.1", ports, dataDir }, env: process.env });
  gatewayUrl = (await system.ready).urls.gateway[0]!;
});

afterAll(async () => {
  await system.stop();
  rmSync(workDir, { recursive: true, force: true });
  rmSync(dataDir, { recursive: true, force: true });
});

describe("the commands", () => {
  test("are scripts of the package, and CI calls the one that tests", () => {
    const commands = blocks.filter(({ info }) => info === "sh").map(({ text }) => text.trim());
    expect(commands).toEqual(["npm start", "npm run demo", "npm test"]);
    const inProse = [...readme.matchAll(/`npm run ([\w-]+)`/g)].map(([, name = ""]) => name);
    for (const name of ["start", "demo", "test", ...inProse]) expect(scripts).toHaveProperty(name);
    expect(readFileSync(join(root, ".ci", "run"), "utf8")).toMatch(/^npm test$/m);
  });

  test("install what they need by themselves, not by pre scripts, which npm skips with ignore-scripts", () => {
    for (const [name, script] of Object.entries(scripts)) {
      expect(Object.keys(scripts)).not.toContain(`pre${name}`);
      for (const command of script.split(" && ")) {
        expect(command, name).toMatch(/^(exec )?node scripts\/setup\.js |^npm run -s /);
      }
    }
  });

  test("start what the README says, and the ten steps run on it", async () => {
    const lines: string[] = [];
    await runTenSteps(makeGatewayClient(gatewayUrl), (line) => lines.push(line));
    expect(lines.join("\n")).toContain("=== Demo Complete ===");
  });
});

test.each(programs.map((program, i) => [i + 1, program] as const))(
  "program %i prints what stands below it",
  async (i, { text, prints }) => {
    const file = join(workDir, `program-${i}.ts`);
    writeFileSync(file, text.replaceAll("//127.0.0.1:8080", new URL(gatewayUrl).origin.replace("http:", "")));
    const { stdout, stderr } = await run(process.execPath, [file], { timeout: 20_000 });
    expect(stdout).toBe(prints);
    expect(stderr).toBe("");
  },
);

const hasCurl = spawnSync("curl", ["--version"]).status === 0 && spawnSync("sh", ["-c", ":"]).status === 0;
const protocol = blocksOf(readFileSync(join(root, "docs", "protocol.md"), "utf8"));
const commands = protocol.flatMap(({ info, text }, i) =>
  info === "sh" ? [{ text, prints: protocol[i + 1]?.text ?? "" }] : [],
);

test("docs/protocol.md has a login and an order by hand", () => {
  expect(commands.map(({ text }) => /"(login|createOrder)"\],.*\n\["pull"/.exec(text)?.[1])).toEqual([
    "login",
    "createOrder",
  ]);
});

/** `...` stands for what differs each time. */
const patternOf = (text: string) => new RegExp(`^${text.trim().split("...").map(RegExp.escape).join("[\\w.-]+")}$`);

// A system without curl, such as a bare container, has nobody who would type these.
test.skipIf(!hasCurl).each(commands.map((command, i) => [i + 1, command] as const))(
  "command %i of docs/protocol.md prints what stands below it",
  async (_, { text, prints }) => {
    const { stdout, stderr } = await run("sh", ["-c", text.replaceAll("http://127.0.0.1:8080", gatewayUrl)]);
    expect(stdout.trim()).toMatch(patternOf(prints));
    expect(stderr).toBe("");
  },
);

test("the programs pass the type checker", async () => {
  const dir = workDir;
  for (const [i, { text }] of programs.entries()) writeFileSync(join(dir, `program-${i}.ts`), text);
  const config = { extends: "../../tsconfig.json", include: ["*.ts"] };
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify(config));
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const { stdout } = await run(process.execPath, [compiler, "--noEmit", "-p", dir], { cwd: root }).catch(
    (error) => error,
  );
  expect(stdout).toBe("");
});

/** Paths between backticks and targets of links, as far as they are ours. */
function pathsIn(document: string): string[] {
  const text = readFileSync(join(root, document), "utf8");
  const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, target = ""]) => target);
  const named = [...text.matchAll(/`((?:kit|shop|tests|docs|scripts|bench)\/[\w./-]*)`/g)].map(([, path = ""]) => path);
  return [
    ...links.filter((target) => !target.startsWith("http")).map((target) => join(dirname(document), target)),
    ...named,
  ];
}

test.each(["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "docs/protocol.md"])(
  "every file and folder that %s names is there",
  (document) => {
    const paths = pathsIn(document);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    expect(paths.length).toBeGreaterThan(1);
  },
);

test("no page tells to run a source of ours by the host's own Node, which may be too old", () => {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.md"], { cwd: root, encoding: "utf8" });
  const wrong = files
    .trim()
    .split("\n")
    .flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8");
      return [...text.matchAll(/(?<!npx )\bnode [\w/-]+\/[\w-]+\.ts/g)].map(([command]) => `${file}: ${command}`);
    });
  expect(wrong).toEqual([]);
});

test("every invariant names a test", () => {
  const rows = readFileSync(join(root, "ARCHITECTURE.md"), "utf8").match(/^\| I\d \|.*$/gm) ?? [];
  expect(rows).toHaveLength(9);
  for (const row of rows) expect(row).toMatch(/`[\w./-]+\.test\.ts`/);
});
