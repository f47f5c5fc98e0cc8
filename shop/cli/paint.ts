import { styleText } from "node:util";

export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";
export type Paint = (style: Style, text: string) => string;

/** Colours what goes to `stream` when that is a terminal and colour `isAllowed`. */
export function paintFor(stream: { readonly isTTY?: boolean }, isAllowed: boolean): Paint {
  const isColoured = isAllowed && stream.isTTY === true;
  return (style, text) => (isColoured ? styleText(style, text, { validateStream: false }) : text);
}
