import type { ProcessName } from "../topology.ts";

/** What a system tells whoever shows it. */
export type SystemEvent =
  | { readonly type: "ready"; readonly service: ProcessName; readonly url: string; readonly afterMs: number }
  /** One line a service wrote to its stderr: its log. */
  | { readonly type: "line"; readonly service: ProcessName; readonly line: string }
  /** It is there and does nothing: its event loop has not gone round for so long, so it is killed. */
  | { readonly type: "unresponsive"; readonly service: ProcessName; readonly silentMs: number }
  | {
      readonly type: "crashed";
      readonly service: ProcessName;
      /** Such as `exit code 1` or `killed by SIGSEGV`. */
      readonly how: string;
      readonly lastLines: readonly string[];
      /** Crashes in a row, this one included. */
      readonly crashes: number;
      readonly restartInMs: number;
    }
  /** It ended in good order, though not at our word: somebody else stopped it. It is started again. */
  | { readonly type: "ended"; readonly service: ProcessName; readonly how: string; readonly restartInMs: number }
  /** What a service wants its person to see once, such as a password it made. It is in no log. */
  | { readonly type: "notice"; readonly service: ProcessName; readonly text: string }
  | { readonly type: "stopped"; readonly service: ProcessName; readonly how: string };

export type Report = (event: SystemEvent) => void;
