import type { Readable } from "node:stream";

/** A longer line is cut in pieces, so that a service that never ends its line costs us no memory. Characters. */
export const lineCharsMax = 16 * 1024;

/** Calls `onLine` for each line of `stream`, without its end; a last line without one counts. Empty lines are left out. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  const emit = (line: string): void => {
    for (let at = 0; at < line.length; at += lineCharsMax) {
      const piece = line.slice(at, at + lineCharsMax);
      if (piece.trim() !== "") onLine(piece);
    }
  };
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    lines.forEach(emit);
    if (rest.length > lineCharsMax) {
      emit(rest);
      rest = "";
    }
  });
  stream.once("end", () => emit(rest));
  // A pipe that breaks has ended: the process behind it is gone, which its exit tells.
  stream.on("error", () => undefined);
}
