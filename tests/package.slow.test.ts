import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packKit } from "../kit/package/pack.ts";
import { type Consumer, makeConsumer } from "./consumer.ts";
import { importsIn, readDeclarations, strayModules } from "./declarations.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const readText = (path: string) => readFileSync(join(root, path), "utf8");
const ownManifest = JSON.parse(readText("kit/package.json"));
const rootManifest = JSON.parse(readText("package.json"));

const typescript6 = join(root, "node_modules", "typescript", "bin", "tsc");
const typescript7Version = "7.0.2";
/** The oldest line of Node that the package is for; the platforms are those that the registry has it for. */
const node22Version = "22.23.3";
const node22Package = ["linux-x64", "linux-arm64"]
  .filter((platform) => platform === `${process.platform}-${process.arch}`)
  .map((platform) => `node-${platform}`)
  .at(0);
const browserBytesMax = 40 * 1024;
const tourPrints = `context true none
deadline deadline_exceeded
revoked revoked
metrics true
clock 60000
stopped by SIGTERM
`;

const consumer: Consumer = makeConsumer();
const tools: Consumer = makeConsumer();
const installed = (path: string) => join(consumer.dir, "node_modules", "@flotilla", "kit", path);
const readme = readText("kit/README.md");
const programs = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text);
const prints = /^```text\n([\s\S]*?)^```$/m.exec(readme)?.[1];

beforeAll(async () => {
  const { typebox } = ownManifest.dependencies;
  const nodeTypes = rootManifest.devDependencies["@types/node"];
  await consumer.install(await packKit(), `typebox@${typebox}`, `@types/node@${nodeTypes}`);
  consumer.write("three-services.ts", programs[0] ?? "");
  consumer.write("package-tour.ts", readText("tests/package-tour.ts"));
  consumer.write("page.ts", (programs[1] ?? "").replace("./gateway.ts", "./gateway.js"));
  consumer.write(
    "gateway.ts",
    `import type { RpcTarget } from "@flotilla/kit";
     export type Gateway = RpcTarget & { order(token: string, item: string): string };`,
  );
}, 240_000);

afterAll(() => {
  consumer[Symbol.dispose]();
  tools[Symbol.dispose]();
});

/** A tool that the registry may not have for this machine: without it a test is skipped here, and fails in CI. */
async function needTool(skip: (note: string) => void, name: string | undefined, version: string): Promise<void> {
  const why = name
    ? await tools.install(`${name}@${version}`).then(() => undefined, String)
    : "there is none for this platform";
  if (why === undefined) return;
  if (process.env.CI) throw new Error(`CI needs ${name} ${version}: ${why}`);
  skip(`no ${name} ${version}: ${why}`);
}

const compilerOptions = {
  target: "es2024",
  lib: ["es2024", "esnext.disposable", "dom"],
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  skipLibCheck: true,
  outDir: "out",
};

function writeConfig(name: string, options: object, files: readonly string[]): string {
  consumer.write(name, JSON.stringify({ compilerOptions: { ...compilerOptions, ...options }, files }));
  return name;
}

describe("the package", () => {
  test("has JavaScript, declarations and maps of every source, which is there too, and no test", () => {
    const sources = globSync("**/*.ts", { cwd: installed("src") });
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.filter((path) => /\.test\.ts$|fixtures/.test(path))).toEqual([]);
    const missing = sources.flatMap((path) =>
      [".js", ".js.map", ".d.ts", ".d.ts.map"]
        .map((end) => `dist/${path.replace(/\.ts$/, end)}`)
        .filter((made) => !existsSync(installed(made))),
    );
    expect(missing).toEqual([]);
  });

  test("has maps that lead to what is in it", () => {
    const maps = globSync("dist/**/*.map", { cwd: installed("") });
    const stray = maps.flatMap((map) => {
      const { sources, sourcesContent } = JSON.parse(readFileSync(installed(map), "utf8"));
      return (sources as string[])
        .filter((_, i) => typeof sourcesContent?.[i] !== "string")
        .filter((source) => !existsSync(join(dirname(installed(map)), source)))
        .map((source) => `${map} -> ${source}`);
    });
    expect(stray).toEqual([]);
  });

  test("has a manifest whose entries are there, and the dependencies of the kit at its exact versions", () => {
    const manifest = JSON.parse(readFileSync(installed("package.json"), "utf8"));
    expect(Object.keys(manifest.exports)).toEqual([...Object.keys(ownManifest.exports), "./package.json"]);
    const targets = Object.values(manifest.exports).flatMap((entry) => Object.values(Object(entry)) as string[]);
    const files = [...targets.filter((target) => target.startsWith("./")), ...manifest.sideEffects];
    expect(files.filter((file) => !existsSync(installed(file)))).toEqual([]);
    expect(manifest.dependencies).toEqual(ownManifest.dependencies);
    for (const version of Object.values(manifest.dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(manifest).not.toHaveProperty("scripts");
    expect(manifest).not.toHaveProperty("private");
    // So that nobody publishes the sources in its place.
    expect(ownManifest.private).toBe(true);
    for (const file of ["README.md", "LICENSE", "CHANGELOG.md"]) expect(existsSync(installed(file))).toBe(true);
  });

  test.each(["index", "testing/index", "browser/index"])("declares at %s nothing that is not there", (entry) => {
    const packages = Object.keys(ownManifest.dependencies);
    const withNode = entry !== "browser/index";
    expect(strayModules(installed(`dist/${entry}.d.ts`), { packages, withNode })).toEqual([]);
  });

  test("has declarations without an error, and explains everything that it exports", () => {
    const entries = ["index", "testing/index", "browser/index"].map((entry) => installed(`dist/${entry}.d.ts`));
    const declarations = readDeclarations(entries, installed("dist"));
    expect(declarations.errors()).toEqual([]);
    expect(entries.flatMap((entry) => declarations.undocumented(entry))).toEqual([]);
  });
});

describe("the build for browsers", () => {
  const bundle = () => readFileSync(installed("dist/browser.js"));

  test("is one module that imports nothing, and has nothing of Node's", () => {
    expect(importsIn(bundle().toString())).toEqual([]);
    expect(bundle().toString()).not.toContain("node:");
  });

  test(`has less than ${browserBytesMax} bytes, gzipped, and no more than the README says`, () => {
    const { length } = gzipSync(bundle(), { level: 9 });
    expect(length).toBeLessThan(browserBytesMax);
    const [, said] = /one module of less than (\d+) kB/.exec(readText("README.md")) ?? [];
    expect(length).toBeLessThan(Number(said) * 1_000);
  });

  test("keeps no process alive that loads it without a page", async () => {
    expect(
      await consumer.node(["--input-type=module", "-e", `import ${JSON.stringify(installed("dist/browser.js"))}`]),
    ).toBe("");
  });

  test("has what a stub of an object is made by, which no bundler may drop", () => {
    expect(bundle().toString()).toContain("is neither data nor");
  });
});

describe("the README of the package", () => {
  test("has the introduction that the README of the repository has", () => {
    expect(readText("README.md")).toContain(programs[0]);
    expect(readText("README.md")).toContain(`\`\`\`text\n${prints}\`\`\``);
  });

  describe("has programs that", () => {
    test("TypeScript 6 accepts, and compiles for Node 22", async () => {
      const options = { module: "nodenext" };
      const config = writeConfig("tsconfig.json", options, ["three-services.ts", "page.ts", "package-tour.ts"]);
      expect(await consumer.node([typescript6, "-p", config])).toBe("");
      expect(existsSync(join(consumer.dir, "out", "three-services.js"))).toBe(true);
    });

    test("print what stands below, on the Node that the project has", async () => {
      expect(await consumer.node(["out/three-services.js"])).toBe(prints);
      expect(await consumer.node(["out/package-tour.js"])).toBe(tourPrints);
    });

    test("print it on Node 22", async ({ skip }) => {
      await needTool(skip, node22Package, node22Version);
      const node22 = join(tools.dir, "node_modules", ".bin", "node");
      expect(await consumer.node(["--version"], node22)).toBe(`v${node22Version}\n`);
      expect(await consumer.node(["out/three-services.js"], node22)).toBe(prints);
      expect(await consumer.node(["out/package-tour.js"], node22)).toBe(tourPrints);
      // That line of Node and later also load it the old way.
      const required = `console.log(typeof require("@flotilla/kit").serve)`;
      expect(await consumer.node(["--no-warnings", "--input-type=commonjs", "--eval", required], node22)).toBe(
        "function\n",
      );
    });

    test("TypeScript 7 accepts, the way bundlers look modules up", async ({ skip }) => {
      await needTool(skip, "typescript", typescript7Version);
      const typescript7 = join(tools.dir, "node_modules", "typescript", "bin", "tsc");
      const options = { module: "esnext", moduleResolution: "bundler", noEmit: true };
      const config = writeConfig("tsconfig.bundler.json", options, ["three-services.ts", "page.ts", "package-tour.ts"]);
      expect(await consumer.node([typescript7, "-p", config])).toBe("");
    }, 120_000);
  });
});

test("what is wrong with a page's use of the kit is seen without the types of Node", async () => {
  consumer.write("wrong.ts", `import { connect } from "@flotilla/kit/browser";\nconnect({ name: "gateway" });\n`);
  const config = writeConfig("tsconfig.wrong.json", { module: "nodenext", noEmit: true, types: [] }, ["wrong.ts"]);
  await expect(consumer.node([typescript6, "-p", config])).rejects.toThrow(
    /^wrong\.ts\(2,9\)(?:.|\n)*'url' is missing/m,
  );
});
