import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";

/** What may grow over the life of a session because of what its peer sends. */
export interface PeerBudget {
  /** Id that the next call of the peer gets in our export table; ours starts at 1, 0 is the main object. */
  nextCallId: number;
  /** Calls started and not released, with their pipeline depth. */
  readonly calls: Map<number, number>;
}

export function makePeerBudget(): PeerBudget {
  return { nextCallId: 1, calls: new Map() };
}

/**
 * Checks one parsed message before capnweb sees it, because capnweb limits neither what a message makes it do nor what
 * it keeps (measured: docs/decisions/0003-what-we-do-about-capnweb.md). Throws `invalid_argument` with the reason
 * `protocol_violation`, or `resource_exhausted`; both end the session.
 */
export function checkMessage(message: unknown, budget: PeerBudget, limits: Limits): void {
  if (!Array.isArray(message)) throw violation("a message is an array");
  switch (message[0]) {
    case "push":
      startCall(message[1], budget, limits);
      checkExpression(message[1], limits);
      return;
    case "pull":
      if (!isId(message[1])) throw violation("pull takes an id");
      return;
    case "resolve":
    case "reject":
      if (!isId(message[1])) throw violation(`${message[0]} takes an id`);
      checkExpression(message[2], limits);
      return;
    case "release":
      if (!isId(message[1]) || !isId(message[2]) || message[2] < 1) throw violation("release takes an id and a count");
      if (message[1] > 0) budget.calls.delete(message[1]);
      return;
    case "abort":
      checkExpression(message[1], limits);
      return;
    default:
      // SECURITY: `stream` and `pipe` cost the receiver 5 KB for 8 bytes; no contract of ours takes a stream.
      throw violation("unknown or disabled operation");
  }
}

function startCall(expression: unknown, budget: PeerBudget, limits: Limits): void {
  const target = Array.isArray(expression) && isId(expression[1]) ? expression[1] : 0;
  const depth = (budget.calls.get(target) ?? 0) + 1;
  if (depth > limits.pipelineDepthMax)
    throw exhausted(`more than ${limits.pipelineDepthMax} calls pipelined on each other`);
  if (budget.calls.size >= limits.outstandingCallsMax) {
    throw exhausted(`more than ${limits.outstandingCallsMax} calls that were not released`);
  }
  budget.calls.set(budget.nextCallId, depth);
  budget.nextCallId += 1;
}

/** Walks without recursion: a hostile nesting must not become a stack overflow. */
function checkExpression(root: unknown, limits: Limits): void {
  const values: unknown[] = [root];
  const depths: number[] = [0];
  let nodes = 0;
  while (values.length > 0) {
    const value = values.pop();
    const depth = depths.pop() ?? 0;
    nodes += 1;
    if (nodes > limits.messageNodesMax) throw exhausted(`a message of more than ${limits.messageNodesMax} values`);
    if (value === null || typeof value !== "object") continue;
    if (depth >= limits.messageDepthMax) throw exhausted(`a message nested deeper than ${limits.messageDepthMax}`);
    for (const child of childrenOf(value)) {
      values.push(child);
      depths.push(depth + 1);
    }
  }
}

/** The values inside one expression that capnweb would evaluate. A literal array is wrapped: `[[1, 2]]`. */
function childrenOf(value: object): readonly unknown[] {
  if (!Array.isArray(value)) return Object.values(value);
  if (value.length === 1 && Array.isArray(value[0])) return value[0];
  const [tag, id] = value;
  switch (tag) {
    case "pipeline":
    case "import":
      if (!isId(id)) throw violation(`${tag} takes an id`);
      // The path is names and indices; only the arguments are expressions.
      return value.length > 3 && Array.isArray(value[3]) ? value[3] : [];
    case "export":
      if (!isId(id) || id >= 0) throw violation("export takes a negative id");
      return [];
    case "promise":
      // SECURITY: capnweb holds back a call with such an argument until its sender resolves it, for ever if it likes.
      throw violation("promises of the sender's are not accepted as arguments");
    case "error":
      return value.length > 4 ? [value[4]] : [];
    case "bigint":
    case "date":
    case "bytes":
    case "undefined":
    case "inf":
    case "-inf":
    case "nan":
    case "url":
      return [];
    default:
      // SECURITY: `remap` runs a program of the sender's (a 110-byte one kills the process); streams and blobs are
      // unbounded; both stay off.
      throw violation("unknown or disabled expression");
  }
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

export function violation(what: string): FlotillaError {
  return new FlotillaError("invalid_argument", `Malformed message: ${what}`, { reason: "protocol_violation" });
}

function exhausted(what: string): FlotillaError {
  return new FlotillaError("resource_exhausted", `Refused: ${what}`, { reason: "protocol_limit", retryable: false });
}
