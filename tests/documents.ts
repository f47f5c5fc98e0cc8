/** A fenced block of a document. */
export interface Block {
  /** The first word after the fence, such as `ts`. */
  readonly language: string;
  /** The second, where the block is a file, or a part of one. */
  readonly file: string | undefined;
  readonly text: string;
}

/** The fenced blocks of `markdown`, in their order. */
export function blocksOf(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```(\S*) ?(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, language = "", file = "", text = ""]) => ({ language, file: file || undefined, text }),
  );
}
