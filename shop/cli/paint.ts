import { styleText } from "node:util";
import { type Paint, Printable, say } from "./text.ts";

/** No colours. */
export const unpainted: Paint = (_style, text) => say`${text}`;

/** Colours what goes to `stream` when that is a terminal and colour `isAllowed`. */
export function paintFor(stream: { readonly isTTY?: boolean }, isAllowed: boolean): Paint {
  const isColoured = isAllowed && stream.isTTY === true;
  if (!isColoured) return unpainted;
  return (style, text) => Printable.ours(styleText(style, String(say`${text}`), { validateStream: false }));
}
