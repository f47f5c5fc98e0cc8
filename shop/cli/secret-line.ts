/** What was typed of a line that is not shown. */
export interface SecretLine {
  readonly text: string;
  readonly state: "typing" | "done" | "interrupted" | "ended";
}

export const emptyLine: SecretLine = { text: "", state: "typing" };

/** Longer than any password that the shop takes. Characters. */
const charsMax = 4_096;
/** Arrow keys and the like. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them.
const escapes = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)?/gu;

/** `line` after the terminal, in raw mode, has sent `keys`. What is typed behind the end of the line is dropped. */
export function typed(line: SecretLine, keys: string): SecretLine {
  let { text } = line;
  for (const key of keys.replace(escapes, "")) {
    if (key === "\r" || key === "\n") return { text, state: "done" };
    if (key === "\u0003") return { text: "", state: "interrupted" };
    if (key === "\u0004") return text === "" ? { text, state: "ended" } : { text, state: "done" };
    if (key === "\u0015") text = "";
    else if (key === "\u007f" || key === "\b") text = [...text].slice(0, -1).join("");
    else if (!/\p{Cc}/u.test(key) && text.length < charsMax) text += key;
  }
  return { text, state: "typing" };
}
