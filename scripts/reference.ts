// Makes the reference of the kit from the comments in its sources: what stands there is all that is said here.
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = join(root, "kit", "src");

/** The chapters, in the order in which somebody new meets them, with the folders whose declarations each has. */
const chapters = [
  { folders: ["server", "client", "session", "resilience"], title: "Serving and connecting" },
  { folders: ["capability"], title: "Contracts, and less authority" },
  { folders: ["introduction"], title: "Introductions" },
  { folders: ["rpc"], title: "Stubs and targets" },
  { folders: ["base"], title: "Errors, context, limits, time" },
  { folders: ["identity"], title: "Keys" },
  { folders: ["discovery"], title: "Where instances are" },
  { folders: ["telemetry"], title: "Metrics" },
  { folders: ["transport"], title: "Channels: for those who bring a transport of their own" },
  { folders: ["browser"], title: "In browsers" },
  { folders: ["testing"], title: "Testing" },
];

interface Entry {
  readonly name: string;
  readonly heading: string;
  readonly anchor: string;
  /** Its place among the chapters. */
  readonly chapter: number;
  readonly declaration: ts.Declaration;
  readonly symbol: ts.Symbol;
  /** The paths by which it is imported; none for what is only named by others. */
  readonly from: readonly string[];
}

/** The page `docs/kit/reference.md`. */
export function makeReference(): string {
  const entryPoints = findEntryPoints();
  const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config;
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const program = ts.createProgram([...entryPoints.values()], options);
  const checker = program.getTypeChecker();
  const entries = collect(entryPoints, program, checker);
  const byName = new Map(entries.map((entry) => [entry.symbol, entry]));
  const pages = chapters.map(({ title }, place) => {
    const own = entries.filter(({ chapter }) => chapter === place);
    if (own.length === 0) return "";
    return [`## ${title}`, ...own.map((entry) => entryText(entry, byName, checker))].join("\n\n");
  });
  return [preface(entryPoints), contents(entries, checker), ...pages.filter((page) => page !== "")]
    .join("\n\n")
    .concat("\n");
}

/** Files by the path under which they are imported. */
function findEntryPoints(): ReadonlyMap<string, string> {
  const { exports } = JSON.parse(readFileSync(join(sources, "..", "package.json"), "utf8")) as {
    exports: Record<string, string>;
  };
  const entries = Object.entries(exports).map(
    ([path, file]) => [`@flotilla/kit${path.slice(1)}`, join(sources, "..", file)] as const,
  );
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function preface(entryPoints: ReadonlyMap<string, string>): string {
  const names = [...entryPoints.keys()].map((name) => `\`${name}\``);
  return `# Reference

All that ${names.slice(0, -1).join(", ")} and ${names.at(-1)} export, made from the comments in the code by \`npm run docs\`; a test keeps it
up to date. Times are milliseconds where nothing else is said. Errors are \`FlotillaError\`s, named by their code.`;
}

/** Everything that is exported, and the types that those declarations name of ours beside. */
function collect(entryPoints: ReadonlyMap<string, string>, program: ts.Program, checker: ts.TypeChecker): Entry[] {
  const exported = new Map<ts.Symbol, string[]>();
  for (const [path, file] of entryPoints) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    for (const symbol of checker.getExportsOfModule(module)) {
      const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      exported.set(own, [...(exported.get(own) ?? []), path]);
    }
  }
  const all = new Map<ts.Symbol, readonly string[]>(exported);
  const names = new Set([...exported.keys()].map(({ name }) => name));
  for (const symbol of exported.keys()) {
    for (const named of namedIn(declarationOf(symbol), checker)) {
      // Types that only compute types say nothing to who reads.
      const isShown = ts.isInterfaceDeclaration(declarationOf(named)) || proseOf(named, checker) !== "";
      // A type that is exported under its own name stands there already.
      if (isShown && !all.has(named) && !names.has(named.name)) all.set(named, []);
    }
  }
  const anchors = new Map<string, number>();
  const anchorOf = (heading: string) => {
    const slug = heading
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-");
    const used = anchors.get(slug) ?? 0;
    anchors.set(slug, used + 1);
    return used > 0 ? `${slug}-${used}` : slug;
  };
  const places = [...all]
    .map(([symbol, from]) => ({ symbol, from, name: symbol.name, declaration: declarationOf(symbol) }))
    .map((it) => ({ ...it, chapter: chapterOf(it.declaration) }))
    .sort(inOrder);
  // In the order of the page: of headings that read alike, only the first has the plain anchor.
  return chapters.flatMap(({ title }, place) => {
    const own = places.filter(({ chapter }) => chapter === place);
    if (own.length > 0) anchorOf(title);
    return own.map((it) => ({ ...it, heading: `\`${it.name}\``, anchor: anchorOf(it.name) }));
  });
}

/** @throws Error for a declaration in a folder that no chapter has: the page would leave it out without a word. */
function chapterOf(declaration: ts.Declaration): number {
  const file = relative(sources, declaration.getSourceFile().fileName);
  const chapter = chapters.findIndex(({ folders }) => folders.includes(file.split("/")[0]!));
  if (chapter < 0) throw new Error(`${file} is in no chapter of the reference`);
  return chapter;
}

type Place = Pick<Entry, "name" | "chapter" | "declaration">;

/** By chapter; what is called before what it takes and returns. */
function inOrder(a: Place, b: Place): number {
  const isType = ({ declaration }: Place) =>
    ts.isInterfaceDeclaration(declaration) || ts.isTypeAliasDeclaration(declaration);
  return a.chapter - b.chapter || Number(isType(a)) - Number(isType(b)) || (a.name < b.name ? -1 : 1);
}

function declarationOf(symbol: ts.Symbol): ts.Declaration {
  return symbol.declarations![0]!;
}

/** Types of the kit's that `declaration` names, as far as it is printed. */
function namedIn(declaration: ts.Declaration, checker: ts.TypeChecker): ts.Symbol[] {
  const found = new Set<ts.Symbol>();
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || isHidden(node)) return;
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) {
      const symbol = checker.getSymbolAtLocation(ts.isTypeReferenceNode(node) ? node.typeName : node.expression);
      const own = symbol && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      const file = own?.declarations?.[0]?.getSourceFile().fileName;
      const isParameter = own !== undefined && (own.flags & ts.SymbolFlags.TypeParameter) !== 0;
      if (own && !isParameter && file?.startsWith(sources)) found.add(own);
    }
    ts.forEachChild(node, visit);
  };
  visit(declaration);
  return [...found];
}

/** What is there for the type checker alone, or cannot be reached from outside. */
function isHidden(node: ts.Node): boolean {
  const name = (node as Partial<ts.PropertySignature>).name;
  if (!name) return false;
  if (ts.isPrivateIdentifier(name)) return true;
  return ts.isComputedPropertyName(name) && !name.expression.getText().startsWith("Symbol.");
}

function contents(entries: readonly Entry[], checker: ts.TypeChecker): string {
  const rows = chapters.flatMap(({ title }, place) => {
    const own = entries.filter(({ chapter, from }) => chapter === place && from.length > 0);
    if (own.length === 0) return [];
    const lines = own.map((it) => `| [${it.heading}](#${it.anchor}) | ${firstSentence(it.symbol, checker)} |`);
    return [`**${title}**`, ["| name | |", "|---|---|", ...lines].join("\n")];
  });
  return rows.join("\n\n");
}

function firstSentence(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const text = proseOf(symbol, checker).replace(/\s+/g, " ");
  return (/^.*?[^.][.:](?= |$)/.exec(text)?.[0] ?? text).replace(/:$/, ".").replaceAll("|", "\\|");
}

function proseOf(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim();
}

function entryText(entry: Entry, byName: ReadonlyMap<ts.Symbol, Entry>, checker: ts.TypeChecker): string {
  const { symbol, heading, from, declaration } = entry;
  const path = from.filter((it) => it !== "@flotilla/kit");
  const where =
    from.length === 0 ? "Not exported; others name it." : path.length > 0 ? `From \`${path.join("`, `")}\`.` : "";
  const tags = symbol.getJsDocTags(checker).map(({ name, text }) => {
    const words = ts.displayPartsToString(text).trim();
    if (name === "param") return words.replace(/^(\S+)\s*/, "- `$1`: ");
    return `**${name === "throws" ? "Throws" : name === "returns" ? "Returns" : name}** ${words}`;
  });
  const named = namedIn(declaration, checker).filter((it) => it !== symbol && byName.has(it));
  const links = named.map((it) => byName.get(it)!).map((it) => `[${it.heading}](#${it.anchor})`);
  const seeAlso = links.length > 0 ? `See ${links.join(", ")}.` : "";
  const code = `\`\`\`ts\n${declarationText(declaration)}\n\`\`\``;
  return [`### ${heading}`, where, proseOf(symbol, checker), ...tags, code, seeAlso]
    .filter((it) => it !== "")
    .join("\n\n");
}

function declarationText(declaration: ts.Declaration): string {
  const source = declaration.getSourceFile();
  if (ts.isFunctionDeclaration(declaration)) return signatureText(declaration, source);
  if (ts.isVariableDeclaration(declaration)) return `const ${declaration.getText()};`;
  if (!ts.isInterfaceDeclaration(declaration) && !ts.isClassDeclaration(declaration)) {
    return withoutExport(declaration.getText());
  }
  const members: readonly (ts.TypeElement | ts.ClassElement)[] = declaration.members;
  const head = source.text.slice(declaration.getStart(), declaration.members.pos);
  const lines = members.filter((member) => !isHidden(member)).map((member) => memberText(member, source));
  return withoutExport([head, ...lines, "}"].join("\n"));
}

/** With its comment. */
function memberText(member: ts.TypeElement | ts.ClassElement, source: ts.SourceFile): string {
  const body = (member as Partial<ts.MethodDeclaration>).body;
  const end = body ? body.getStart() : member.end;
  const text = source.text.slice(member.getFullStart(), end).replace(/^\n+/, "").trimEnd();
  return body ? `${text};` : text;
}

function signatureText(declaration: ts.FunctionDeclaration, source: ts.SourceFile): string {
  const end = declaration.body?.getStart() ?? declaration.end;
  return `${withoutExport(source.text.slice(declaration.getStart(), end))
    .trim()
    .replace(/^async /, "")};`;
}

function withoutExport(text: string): string {
  return text.replace(/^export /, "");
}
