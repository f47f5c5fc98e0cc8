// What stands as code on the pages of docs/kit, and how it is run.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Block, blocksOf } from "./documents.ts";

export interface Shown {
  /** Of the file that it is, or is made. */
  readonly name: string;
  readonly block: Block;
  /** The text block that follows. */
  readonly prints: string | undefined;
}

const pages = fileURLToPath(new URL("../docs/kit", import.meta.url));

function shownIn(page: string): readonly Shown[] {
  const blocks = blocksOf(readFileSync(join(pages, page), "utf8"));
  return blocks.flatMap((block, i) => {
    if (block.language !== "ts") return [];
    const next = blocks[i + 1];
    const name = block.file?.endsWith(".ts") ? block.file : `${page.replace(".md", "")}-${i}.ts`;
    return [{ name, block, prints: next?.language === "text" ? next.text : undefined }];
  });
}

export const everything: readonly Shown[] = ["how-to.md", "stubs.md", "concepts.md"].flatMap(shownIn);

/** Right or wrong, a few lines each. */
const isSnippet = ({ block }: Shown) => block.file === "wrong" || block.file === "right";
export const snippets = everything.filter(isSnippet);
export const programs = everything.filter(({ block, prints }) => block.file === undefined && prints !== undefined);
export const testFiles = everything.filter(({ name }) => name.endsWith(".test.ts"));

/** Imports the programs and the snippets one after the other; each begins with `#` and its number. */
export const runsAll = "all.ts";

/** Saves it all, and `runsAll`: everything in one process is much cheaper than each in its own. */
export function savePages(directory: string): void {
  const save = (name: string, text: string) => writeFileSync(join(directory, name), text);
  for (const { name, block } of everything.filter((it) => !isSnippet(it))) save(name, block.text);
  save("snippets.ts", snippetsProgram());
  const each = programs.map(({ name }, i) => `console.log("#${i}");\nawait import("./${name}");\n`);
  save(runsAll, `${each.join("")}await import("./snippets.ts");\nexport {};\n`);
}

/** Each snippet as the page says that it is run. */
function snippetsProgram(): string {
  const each = snippets.map(
    ({ block }, i) => `console.log("#${programs.length + i}");\nawait watch(async () => {\n${block.text}});\n`,
  );
  return `import { end, framesSent, library, watch } from "./library.ts";\nvoid framesSent;\n${each.join("")}await end();\n`;
}
