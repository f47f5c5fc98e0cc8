/** `spell` writes, by its code, each character that a terminal obeys, or that makes it show another text than there is. */
function escaped(text: string, spell: (code: number) => string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, (c) => spell(c.charCodeAt(0)));
}

const inTwoDigits = (code: number) => `\\x${code.toString(16).padStart(2, "0")}`;
const inFourDigits = (code: number) => `\\u${code.toString(16).padStart(4, "0")}`;

/**
 * SECURITY: names and messages come from strangers, whose control characters would command the terminal, and whose
 * bidirectional marks would make it show another text than there is. They are shown as `\x1b` or `\u202e`.
 */
export function shown(text: string): string {
  return escaped(text, (code) => (code > 0xff ? inFourDigits(code) : inTwoDigits(code)));
}

/**
 * Text that may be printed as it is. SECURITY: the only kind that a terminal takes, and `say` makes it, so no text from
 * outside is printed before it passed `shown`; a command that forgets it does not compile.
 */
export class Printable {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /** SECURITY: `text` is this program's own, colours included. Nothing from the gateway, a file or the command line. */
  static ours(text: string): Printable {
    return new Printable(text);
  }

  toString(): string {
    return this.#text;
  }
}

/** A template whose own words and line breaks are printed as they are; every other value passes `shown` first. */
export function say(own: TemplateStringsArray, ...values: readonly (string | number | Printable)[]): Printable {
  const texts = values.map((value) => (value instanceof Printable ? String(value) : shown(String(value))));
  return Printable.ours(String.raw({ raw: own }, ...texts));
}

/** One below the other. */
export function lines(texts: readonly (string | Printable)[]): Printable {
  return Printable.ours(texts.map((text) => String(say`${text}`)).join("\n"));
}

/** One line. `JSON.stringify` leaves what it does not have to escape; terminals obey some of that. */
export function jsonText(value: unknown): string {
  return escaped(JSON.stringify(value) ?? "null", inFourDigits);
}

export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";
export type Paint = (style: Style, text: string | Printable) => Printable;

export interface Column<T> {
  readonly title: string;
  readonly align?: "right";
  of(row: T): string;
}

/** Aligned columns under their titles; without titles for who wants the rows only. Cells are made safe to show here. */
export function table<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  { paint, titles }: { paint: Paint; titles: boolean },
): Printable {
  const cells = rows.map((row) => columns.map((column) => shown(column.of(row))));
  const widths = columns.map(({ title }, i) =>
    Math.max(titles ? title.length : 0, ...cells.map((line) => widthOf(line[i] ?? ""))),
  );
  const line = (texts: readonly string[]) =>
    texts
      .map((text, i) => {
        const space = " ".repeat(Math.max((widths[i] ?? 0) - widthOf(text), 0));
        return columns[i]?.align === "right" ? space + text : text + space;
      })
      .join("  ")
      .trimEnd();
  const head = titles ? [paint("dim", line(columns.map(({ title }) => title)))] : [];
  return lines([...head, ...cells.map(line)]);
}

/** `name  value` on lines of their own; what is undefined is left out. */
export function fields(pairs: Readonly<Record<string, string | undefined>>, paint: Paint): Printable {
  const known = Object.entries(pairs).filter(([, value]) => value !== undefined) as [string, string][];
  const width = Math.max(...known.map(([name]) => name.length));
  return lines(known.map(([name, value]) => say`${paint("dim", name.padEnd(width))}  ${value}`));
}

/** Of code points: good for the names that are usual here. */
function widthOf(text: string): number {
  return [...text].length;
}
