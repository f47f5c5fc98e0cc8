import type { Framing } from "../transport/channel.ts";

/** Of the refusal below, and of nothing else that leaves a process: the call was not begun, so another may be asked. */
export const stoppingReason = "stopping";

/** No contract can list it: it is no JavaScript name that a class would have. */
const refusedMethod = "flotilla:stopping";
const refusedCall = JSON.stringify(["push", ["pipeline", 0, [refusedMethod], []]]);

/** capnweb's complaint about a call that `refuseCalls` put there; `redact.ts` says in its place that the service is stopping. */
export const refusedCallComplaint: RegExp = new RegExp(`^'${refusedMethod}' is not a function`);

/**
 * A frame with its calls refused. capnweb numbers calls by counting them and has no way to turn one away, so each becomes
 * a call of a method that nobody has: the numbering holds, nothing of ours runs, and its caller gets `unavailable`.
 * What belongs to calls that are under way (pulls, results, releases) stays as it is.
 */
export function refuseCalls(frame: string, framing: Framing): string {
  const lines = framing === "capnweb" ? [frame] : frame.split("\n");
  return lines.map((line) => (isCall(line) ? refusedCall : line)).join("\n");
}

function isCall(line: string): boolean {
  try {
    const message: unknown = JSON.parse(line);
    return Array.isArray(message) && message[0] === "push";
  } catch {
    // The transport says what is wrong with it.
    return false;
  }
}
