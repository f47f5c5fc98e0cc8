import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** What the declarations at `entry` mention, with what they mention, that is neither a file nor listed: by file and name. */
export function strayModules(
  entry: string,
  { packages, withNode }: { packages: readonly string[]; withNode: boolean },
) {
  const seen = new Set<string>();
  const stray: string[] = [];
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { fileName: name } of ts.preProcessFile(readFileSync(file, "utf8")).importedFiles) {
      if (name.startsWith(".")) {
        const declaration = join(dirname(file), name.replace(/\.js$/, ".d.ts"));
        if (name.endsWith(".js") && existsSync(declaration)) visit(declaration);
        else stray.push(`${relative(dirname(entry), file)} -> ${name}`);
      } else if (!packages.includes(name) && !(withNode && builtinModules.includes(name.replace(/^node:/, "")))) {
        stray.push(`${relative(dirname(entry), file)} -> ${name}`);
      }
    }
  };
  visit(entry);
  return stray;
}

/** The names that the module `entry` exports and that no comment explains. */
export function undocumentedExports(entry: string): string[] {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2024,
    noEmit: true,
    skipLibCheck: true,
    types: [],
  };
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error(`${entry} is no module`);
  return checker
    .getExportsOfModule(module)
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
    .filter((symbol) => symbol.getDocumentationComment(checker).length === 0)
    .map((symbol) => symbol.name);
}
