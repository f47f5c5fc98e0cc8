import { execFile } from "node:child_process";
import { copyFile, cp, glob, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bundleForBrowsers } from "./bundle.ts";
import { publishedManifest } from "./manifest.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const kit = join(root, "kit");

/**
 * Compiles for Node 22: `using` becomes what it stands for, and `lib` ends before what Node 22 lacks, so that a use of it
 * is an error here.
 */
const compilerOptions = {
  noEmit: false,
  noEmitOnError: true,
  target: "es2024",
  lib: ["es2024", "esnext.disposable", "dom", "dom.iterable"],
  rootDir: "src",
  outDir: "dist",
  allowImportingTsExtensions: false,
  rewriteRelativeImportExtensions: true,
  declaration: true,
  declarationMap: true,
  sourceMap: true,
};

/** Fills `dir`, which is empty and in the repository, with what is published. */
export async function stagePackage(dir: string): Promise<void> {
  await cp(join(kit, "src"), join(dir, "src"), { recursive: true, filter: isPublished });
  await writeJson(join(dir, "package.json"), publishedManifest(JSON.parse(await readText(join(kit, "package.json")))));
  await copyFile(join(kit, "README.md"), join(dir, "README.md"));
  for (const name of ["LICENSE", "CHANGELOG.md"]) await copyFile(join(root, name), join(dir, name));
  await compile(dir);
  await bundleForBrowsers(dir);
}

/** Tests stay here, and what only they use. */
function isPublished(path: string): boolean {
  return !/\.test\.ts$|[/\\]fixtures$/.test(path);
}

async function compile(dir: string): Promise<void> {
  const config = join(dir, "tsconfig.json");
  await writeJson(config, { extends: join(root, "tsconfig.json"), compilerOptions, include: ["src"] });
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  await run(process.execPath, [compiler, "-p", config]).catch((error: { stdout?: string }) => {
    throw new Error(`The kit does not compile for Node 22:\n${error.stdout ?? String(error)}`);
  });
  for await (const path of glob("dist/**/*.d.ts", { cwd: dir })) await pointAtJavaScript(join(dir, path));
}

/** In declarations the compiler leaves `./x.ts`, which the package has only among its sources. */
async function pointAtJavaScript(file: string): Promise<void> {
  const text = await readText(file);
  await writeFile(file, text.replaceAll(/(\bfrom |\bimport\(?\s?)"(\.{1,2}\/[^"]+)\.ts"/g, '$1"$2.js"'));
}

const readText = (file: string): Promise<string> => readFile(file, "utf8");

function writeJson(file: string, value: object): Promise<void> {
  return writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}
