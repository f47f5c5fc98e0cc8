import type { CliError } from "./cli-error.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { paintFor } from "./paint.ts";
import { jsonText, lines, type Paint, type Printable, say } from "./text.ts";

/** Where text goes; a stream of the process's. */
export interface Stream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface TerminalOptions {
  readonly out: Stream;
  readonly err: Stream;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether colour is allowed at all; it is used on a terminal only. */
  readonly color: boolean;
}

/** Data goes to `out`; everything else goes to `err`. Nothing else prints what comes from outside. */
export interface Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  /** For text on `out`. */
  readonly paint: Paint;
  /** The result of a command: one JSON document, or the text. */
  result(value: unknown, text: () => Printable | ""): void;
  /** What was done, for a person; not with `--quiet` or `--json`. */
  note(text: Printable): void;
  /** How it was done, with `--verbose`. */
  detail(text: Printable): void;
  error(error: CliError): void;
  /** Shown while something takes long; the next output, or the end of it, removes it from a terminal. */
  progress(text: Printable): void;
  progressEnded(): void;
}

export function makeTerminal({ out, err, json, quiet, verbose, color }: TerminalOptions): Terminal {
  const [onOut, onErr] = [paintFor(out, color), paintFor(err, color)];
  let isInProgress = false;

  const terminal: Terminal = {
    json,
    quiet,
    paint: onOut,
    result(value, text) {
      terminal.progressEnded();
      const printed = json ? jsonText(value) : String(text());
      if (printed !== "") out.write(`${printed}\n`);
    },
    note(text) {
      if (!quiet && !json) print(text);
    },
    detail(text) {
      if (verbose) print(json ? jsonText({ note: String(text) }) : onErr("dim", text));
    },
    error(error) {
      print(json ? jsonText({ error: toJson(error) }) : textOf(error, onErr));
    },
    progress(text) {
      if (quiet || json) return;
      if (err.isTTY) {
        err.write(`\r\x1b[K${onErr("dim", text)}`);
        isInProgress = true;
      } else if (!isInProgress) {
        isInProgress = true;
        err.write(`${text}\n`);
      }
    },
    progressEnded() {
      if (isInProgress && err.isTTY) err.write("\r\x1b[K");
      isInProgress = false;
    },
  };
  return terminal;

  function print(text: string | Printable): void {
    terminal.progressEnded();
    err.write(`${text}\n`);
  }
}

function toJson({ code, message, detail }: CliError): object {
  const { reason, retryable = false, retryAfterMs, requestId, hint } = detail;
  return { code, message, reason, retryable, retryAfterMs, requestId, hint, exitCode: exitCodeOf(code) };
}

function textOf({ code, message, detail: { hint, requestId } }: CliError, paint: Paint): Printable {
  const said = [say`${paint("red", "✗")} ${message}`];
  if (hint !== undefined) said.push(say`  ${hint}`);
  if (code === "internal" && requestId !== undefined)
    said.push(say`  Say this when you report it: request ${requestId}`);
  return lines(said);
}
