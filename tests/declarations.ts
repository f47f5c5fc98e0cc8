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

/** @returns what the module `text` asks for from elsewhere, by statement or by call. */
export function importsIn(text: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (isImport(node)) found.push(node.getText());
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.js", text, ts.ScriptTarget.Latest, true));
  return found;
}

function isImport(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node)) return true;
  if (ts.isExportDeclaration(node)) return node.moduleSpecifier !== undefined;
  if (!ts.isCallExpression(node)) return false;
  return node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === "require";
}

const options: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2024,
  lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  noEmit: true,
  strict: true,
  skipLibCheck: false,
  types: ["node"],
};

export interface Declarations {
  /** What the compiler has to say of the files below `dir`; not of other packages'. */
  errors(): string[];
  /** The names that the module `entry` exports and that no comment explains. */
  undocumented(entry: string): string[];
}

/** Reads the declarations at `entries`, below `dir`, as a project does that checks libraries too. */
export function readDeclarations(entries: readonly string[], dir: string): Declarations {
  const program = ts.createProgram(entries, options);
  const files = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(dir));
  if (files.length < entries.length) throw new Error("The declarations were not found");
  const checker = program.getTypeChecker();

  return {
    errors: () =>
      files
        .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
        .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`),
    undocumented(entry) {
      const source = program.getSourceFile(entry);
      const module = source && checker.getSymbolAtLocation(source);
      if (!module) throw new Error(`${entry} is no module`);
      return checker
        .getExportsOfModule(module)
        .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
        .filter((symbol) => symbol.getDocumentationComment(checker).length === 0)
        .map((symbol) => symbol.name);
    },
  };
}
