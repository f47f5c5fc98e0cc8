import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { serviceNames } from "../shop/topology.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The kit's layers: a file imports its own folder or an earlier one. */
const layers = [
  ...["base", "resilience", "transport", "rpc", "session", "identity", "discovery", "server", "client", "browser"],
  ...["capability", "introduction", "testing"],
];
/** See nothing but `base` (and themselves). */
const asideOfBase = ["resilience", "telemetry"];
/** What a service's folder may import beside itself and packages. */
const sharedByServices = ["shop/contracts", "shop/service", "shop/topology.ts"];
const services: readonly string[] = serviceNames;

const sourceLinesMax = 300;
const testLinesMax = 500;
/** Functions within it included. */
const functionLinesMax = 70;
/** Functions from before the rule. The list gets shorter, and never longer. */
const tooLong = [
  "kit/src/client/connection.ts keepConnected",
  "kit/src/introduction/deposits.ts makeDeposits",
  "kit/src/introduction/leases.ts makeLeases",
  "kit/src/introduction/loans.ts makeLoans",
  "kit/src/resilience/turns.ts makeTurns",
  "kit/src/server/intake.ts makeIntakes",
  "kit/src/server/reading-turns.ts makeReadingTurns",
  "kit/src/server/serve.ts serve",
  "kit/src/transport/websocket.ts makeWebSocketChannel",
  "shop/cli/repl/holdings.ts makeHoldings",
  "shop/cli/shop.ts makeShop",
  "shop/gateway/gate.ts makeGate",
  "shop/gateway/introductions.ts makeIntroductions",
  "shop/service/postgres-connections.ts makeConnections",
  "shop/service/postgres.ts makePostgres",
];

interface Source {
  readonly path: string;
  readonly text: string;
  /** Repository paths of what it imports of ours. */
  readonly imports: readonly string[];
  readonly packages: readonly string[];
}

const sources: readonly Source[] = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.ts"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((path) => path !== "" && !path.startsWith("node_modules"))
  .map((path) => read(path));

/** @param without what is not looked at for imports. */
function read(path: string, without?: RegExp): Source {
  const whole = readFileSync(join(root, path), "utf8");
  const text = without ? whole.replace(without, "\n") : whole;
  const specifiers = [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;"']*?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g),
  ]
    .map((match) => match[1] ?? match[2] ?? "")
    .filter((specifier) => specifier !== "");
  const isOurs = (specifier: string) => specifier.startsWith(".");
  return {
    path,
    text,
    imports: specifiers.filter(isOurs).map((specifier) => join(dirname(path), specifier)),
    packages: specifiers.filter((specifier) => !isOurs(specifier)),
  };
}

interface SourceFunction {
  /** The file's path and its own name. */
  readonly name: string;
  readonly lines: number;
}

function functionsIn(path: string, text: string): SourceFunction[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineOf = (position: number) => file.getLineAndCharacterOfPosition(position).line;
  const found: SourceFunction[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) {
      const name = node.name?.getText(file) ?? "a function without a name";
      found.push({ name: `${path} ${name}`, lines: lineOf(node.end) - lineOf(node.getStart(file)) + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** `path` with those imports alone that load a module. */
const valuesOf = (path: string): Source => read(path, /(?:^|\n)\s*(?:import|export) type\b[^;]*;/g);

const isTest = ({ path }: Source) => /\.test\.ts$|\/fixtures\/|\.child\.ts$|^tests\//.test(path);
const kit = sources.filter(({ path }) => path.startsWith("kit/src/"));
const folderOf = (path: string) => relative("kit/src", path).split("/")[0] ?? "";

test("the scan sees the repository", () => {
  expect(kit.length).toBeGreaterThan(20);
  expect(sources.some(({ imports }) => imports.includes("shop/contracts/users.ts"))).toBe(true);
  expect(sources.some(({ packages }) => packages.includes("capnweb"))).toBe(true);
});

describe("the kit", () => {
  test("has only folders that the list of layers knows", () => {
    const folders = new Set(kit.map(({ path }) => folderOf(path)).filter((folder) => !folder.endsWith(".ts")));
    expect([...folders].filter((folder) => ![...layers, ...asideOfBase].includes(folder))).toEqual([]);
  });

  test("imports downwards only", () => {
    const wrong = kit
      .filter((source) => !isTest(source) && folderOf(source.path) !== "index.ts")
      .flatMap(upwardImports);
    expect(wrong).toEqual([]);
  });

  test("has a server that knows no client, and a client that knows no server", () => {
    const across = kit.filter(({ path, imports }) => {
      const other = { server: "client", client: "server" }[folderOf(path)];
      return other !== undefined && !path.endsWith(".test.ts") && imports.some((to) => folderOf(to) === other);
    });
    expect(across.map(({ path }) => path)).toEqual([]);
  });

  test("knows nothing of the shop", () => {
    const wrong = kit.filter(({ imports, packages }) =>
      [...imports, ...packages].some((to) => /(^|\/)shop(\/|$)/.test(to)),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

function upwardImports({ path, imports }: Source): string[] {
  const own = folderOf(path);
  const allowed = asideOfBase.includes(own) ? ["base", own] : layers.slice(0, layers.indexOf(own) + 1);
  return imports.filter((to) => !allowed.includes(folderOf(to))).map((to) => `${path} -> ${to}`);
}

test("the supervisor starts without loading the kit, which takes longer than all the rest of it", () => {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const loaded = new Set<string>();
  const packages = new Set<string>();
  const load = (path: string): void => {
    const source = byPath.get(path);
    if (!source || loaded.has(path)) return;
    loaded.add(path);
    const { imports, packages: own } = valuesOf(path);
    for (const name of own) packages.add(name);
    for (const next of imports) load(next);
  };
  load("shop/start.ts");
  expect([...loaded]).toContain("shop/supervisor/service.ts");
  expect([...packages].filter((name) => name.startsWith("@flotilla/"))).toEqual([]);
});

test("what replaces a process's clock, store and sockets is loaded into services, and never into a test", () => {
  const probe = "tests/process/probe.ts";
  const replacing = ["tests/process/failpoint.ts", "tests/process/wall-clock.ts", probe];
  const loading = sources.flatMap(({ path }) =>
    valuesOf(path).imports.flatMap((to) => (replacing.includes(to) ? [`${path} -> ${to}`] : [])),
  );
  expect(loading.toSorted()).toEqual(replacing.slice(0, 2).map((to) => `${probe} -> ${to}`));
});

test("no file imports itself, by whatever way round", () => {
  const graph = new Map(sources.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  expect(cycles).toEqual([]);
});

describe("the shop", () => {
  const ofServices = sources.filter((source) => services.some((name) => source.path.startsWith(`shop/${name}/`)));

  test("has services that share contracts and defaults, and import nothing of each other", () => {
    const wrong = ofServices.flatMap(({ path, imports }) => {
      const own = path.split("/").slice(0, 2).join("/");
      const isAllowed = (to: string) =>
        [own, ...sharedByServices].some((start) => to.startsWith(start)) || isTestHelper(path, to);
      return imports.filter((to) => !isAllowed(to)).map((to) => `${path} -> ${to}`);
    });
    expect(wrong).toEqual([]);
  });

  test("has contracts that import nothing but each other", () => {
    const wrong = sources
      .filter(({ path }) => path.startsWith("shop/contracts/"))
      .flatMap(({ path, imports }) =>
        imports.filter((to) => !to.startsWith("shop/contracts/")).map((to) => `${path} -> ${to}`),
      );
    expect(wrong).toEqual([]);
  });

  test("reads the environment only where a process starts", () => {
    const entries = /^shop\/(\w+\/main|start|cli\/(flotilla|keys))\.ts$/;
    const wrong = sources.filter(
      (source) => /^(shop|kit\/src)\//.test(source.path) && !isTest(source) && !entries.test(source.path),
    );
    expect(wrong.filter(({ text }) => text.includes("process.env")).map(({ path }) => path)).toEqual([]);
  });
});

test("the examples are programs of a user's: of ours they import the kit by its name, and their own folder", () => {
  const programs = sources.filter((source) => source.path.startsWith("examples/") && !isTest(source));
  const wrong = programs.flatMap(({ path, imports, packages }) => [
    ...imports.filter((to) => dirname(to) !== dirname(path)).map((to) => `${path} -> ${to}`),
    ...packages.filter((name) => name === "@flotilla/kit/testing").map((name) => `${path} -> ${name}`),
  ]);
  expect(programs.length).toBeGreaterThan(5);
  expect(wrong).toEqual([]);
});

const isTestHelper = (from: string, to: string) => from.endsWith(".test.ts") && to.startsWith("tests/");

test("other packages are imported by their name, not by a path inside them", () => {
  const wrong = sources.flatMap(({ path, packages, imports }) => [
    ...packages
      .filter(
        (name) => /^@flotilla\/kit\//.test(name) && !["@flotilla/kit/testing", "@flotilla/kit/browser"].includes(name),
      )
      .map((name) => `${path} -> ${name}`),
    ...imports.filter((to) => !path.startsWith("kit/") && to.startsWith("kit/src/")).map((to) => `${path} -> ${to}`),
  ]);
  expect(wrong).toEqual([]);
});

test("files stay short enough to be one thing", () => {
  const long = sources
    .map((source) => ({ source, lines: source.text.split("\n").length }))
    .filter(({ source, lines }) => lines > (isTest(source) ? testLinesMax : sourceLinesMax));
  expect(long.map(({ source, lines }) => `${source.path}: ${lines} lines`)).toEqual([]);
});

test("functions stay short enough to be read at once", () => {
  const long = sources
    .filter((source) => /^(shop|kit\/src)\//.test(source.path) && !isTest(source))
    .flatMap(({ path, text }) => functionsIn(path, text))
    .filter(({ lines }) => lines > functionLinesMax);
  expect(long.map(({ name }) => name).toSorted()).toEqual(tooLong);
});

test("nothing is left half done", () => {
  const marks = new RegExp(["TO" + "DO", "FIX" + "ME", "\\.on" + "ly\\("].join("|"));
  const wrong = sources
    .filter(({ path, text }) => path !== "tests/tidy.test.ts" && marks.test(text))
    .map(({ path }) => path);
  expect(wrong).toEqual([]);
});

test("no file holds the marks of a merge that was not finished", () => {
  const marked = spawnSync("git", ["grep", "-lE", "^(<{7}|>{7}|={7}$)"], { cwd: root, encoding: "utf8" });
  expect(marked.stdout).toBe("");
  expect(marked.status).toBe(1);
});
