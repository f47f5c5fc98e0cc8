import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";

/** What may grow over the life of a session because of what its peer sends. */
export interface PeerBudget {
  /** Id that the next call of the peer gets in our export table; ours starts at 1, 0 is the main object. */
  nextCallId: number;
  /** Calls started and not released, with their pipeline depth. */
  readonly calls: Map<number, number>;
  /** Ids of the peer's capabilities that we hold; whoever releases one takes it out. */
  readonly exports: Set<number>;
  /** Ids of our capabilities that it was given and has not released. */
  readonly given: Set<number>;
}

export function makePeerBudget(): PeerBudget {
  return { nextCallId: 1, calls: new Map(), exports: new Set(), given: new Set() };
}

/** capnweb's own bound; reading one costs the square of it. */
const bigintDigitsMax = 16_384;
const bigint = new RegExp(`^-?[0-9]{1,${bigintDigitsMax}}$`);

/**
 * Checks one parsed message before capnweb sees it, because capnweb limits neither what a message makes it do nor what
 * it keeps (measured: docs/decisions/0003-what-we-do-about-capnweb.md). Throws `invalid_argument` with the reason
 * `protocol_violation`, or `resource_exhausted`; both end the session.
 */
export function checkMessage(message: unknown, budget: PeerBudget, limits: Limits): void {
  if (!Array.isArray(message)) throw violation("a message is an array");
  const [operation, id] = message as unknown[];
  switch (operation) {
    case "push":
      checkCall(id, budget, limits);
      return;
    case "pull":
      if (!isResultId(id)) throw violation("pull takes the id of a call");
      return;
    case "resolve":
    case "reject":
      // SECURITY: capnweb would let a peer resolve our view of its main object (0) or of its own stubs (negative) to
      // something of ours, and our calls to it would come back to ourselves.
      if (!isResultId(id)) throw violation(`${operation} takes the id of a call`);
      checkValues([message[2]], { rootDepth: 0, budget, limits });
      return;
    case "release":
      // The main object lives as long as its session; no peer releases it (a stock one aborts instead).
      if (!isId(id) || id === 0) throw violation("release takes the id of a call or of a capability");
      if (!isId(message[2]) || message[2] < 1) throw violation("release takes a count");
      if (id > 0) budget.calls.delete(id);
      else budget.given.delete(id);
      return;
    case "abort":
      checkValues([id], { rootDepth: 0, budget, limits });
      return;
    default:
      // SECURITY: `stream` and `pipe` cost the receiver 5 KB for 8 bytes; no contract of ours takes a stream.
      throw violation("unknown or disabled operation");
  }
}

/** SECURITY: a push is one call, so that what a peer makes us run is counted; an argument may refer, but not call. */
function checkCall(expression: unknown, budget: PeerBudget, limits: Limits): void {
  if (!Array.isArray(expression)) throw violation("push takes a call");
  const [tag, target, path, args = []] = expression as unknown[];
  if (tag !== "pipeline" && tag !== "import") throw violation("unknown or disabled call");
  checkReference(expression, limits);
  if (!Array.isArray(args) || expression.length > 4) throw violation("a call takes a path and its arguments");
  if (path === undefined) throw violation("a call takes a path");
  startCall(target as number, budget, limits);
  checkValues(args, { rootDepth: 1, budget, limits });
}

function startCall(target: number, budget: PeerBudget, limits: Limits): void {
  const depth = (budget.calls.get(target) ?? 0) + 1;
  if (depth > limits.pipelineDepthMax)
    throw exhausted(`more than ${limits.pipelineDepthMax} calls pipelined on each other`);
  if (budget.calls.size >= limits.outstandingCallsMax) {
    throw exhausted(`more than ${limits.outstandingCallsMax} calls that were not released`);
  }
  budget.calls.set(budget.nextCallId, depth);
  budget.nextCallId += 1;
}

interface ValueCheck {
  readonly rootDepth: number;
  readonly budget: PeerBudget;
  readonly limits: Limits;
}

/** As structure only: within a text of JSON every quote is escaped. */
const givenInText = /\["(?:export|promise)",(-\d+)\]/g;

/**
 * Counts the capabilities that a message of ours, already written as `text`, gives to the peer. SECURITY: a result that
 * is one stays in our table when its call is released, so the calls' own count does not bound it (measured: 2 KB each).
 */
export function countGiven(text: string, { given }: PeerBudget, { outstandingCallsMax }: Limits): void {
  if (!text.includes('["export",-') && !text.includes('["promise",-')) return;
  for (const [, id] of text.matchAll(givenInText)) given.add(Number(id));
  if (given.size > outstandingCallsMax) {
    throw exhausted(`more than ${outstandingCallsMax} capabilities that were not released`);
  }
}

/** Walks without recursion: a hostile nesting must not become a stack overflow. */
function checkValues(roots: readonly unknown[], { rootDepth, budget, limits }: ValueCheck): void {
  const values = [...roots];
  const depths = values.map(() => rootDepth);
  const errorDepths = values.map(() => 0);
  let nodes = 0;
  let references = 0;
  while (values.length > 0) {
    const value = values.pop();
    const depth = depths.pop() ?? 0;
    let errorDepth = errorDepths.pop() ?? 0;
    nodes += 1;
    if (nodes > limits.messageNodesMax) throw exhausted(`a message of more than ${limits.messageNodesMax} values`);
    if (value === null || typeof value !== "object") continue;
    if (depth >= limits.messageDepthMax) throw exhausted(`a message nested deeper than ${limits.messageDepthMax}`);
    if (isReference(value)) {
      references += 1;
      if (references > limits.messageReferencesMax) {
        throw exhausted(`a message that refers to more than ${limits.messageReferencesMax} capabilities and results`);
      }
    }
    if (Array.isArray(value) && value[0] === "error") errorDepth += 1;
    if (errorDepth > limits.errorDepthMax) throw exhausted(`an error of more than ${limits.errorDepthMax} causes`);
    for (const child of childrenOf(value, limits)) {
      values.push(child);
      depths.push(depth + 1);
      errorDepths.push(errorDepth);
    }
    if (isExport(value)) hold(value[1], budget, limits);
  }
}

function isReference(value: object): boolean {
  return Array.isArray(value) && (value[0] === "pipeline" || value[0] === "import" || value[0] === "export");
}

/** Its id was checked by then. */
function isExport(value: object): value is [string, number] {
  return Array.isArray(value) && value[0] === "export";
}

function hold(id: number, { exports }: PeerBudget, { exportsMax }: Limits): void {
  exports.add(id);
  if (exports.size > exportsMax) throw exhausted(`more than ${exportsMax} capabilities at once`);
}

const nothing: readonly unknown[] = [];

/** The values inside one expression that capnweb would evaluate. A literal array is wrapped: `[[1, 2]]`. */
function childrenOf(value: object, limits: Limits): readonly unknown[] {
  if (!Array.isArray(value)) return Object.values(value);
  if (value.length === 1 && Array.isArray(value[0])) return value[0];
  const [tag, content] = value as unknown[];
  switch (tag) {
    case "pipeline":
    case "import":
      checkReference(value, limits);
      if (value.length > 3) throw violation("a call inside an argument");
      return nothing;
    case "export":
      if (!isId(content) || content >= 0) throw violation("export takes a negative id");
      return nothing;
    case "promise":
      // SECURITY: capnweb holds back a call with such an argument until its sender resolves it, for ever if it likes.
      throw violation("promises of the sender's are not accepted");
    case "error":
      return propertiesOfError(value);
    case "bigint":
      if (typeof content !== "string" || !bigint.test(content)) throw violation("bad bigint");
      return nothing;
    case "date":
      if (typeof content !== "number" && content !== null) throw violation("bad date");
      return nothing;
    case "bytes":
      if (typeof content !== "string") throw violation("bad bytes");
      return nothing;
    case "url":
      if (typeof content !== "string" || !URL.canParse(content)) throw violation("bad url");
      return nothing;
    case "undefined":
    case "inf":
    case "-inf":
    case "nan":
      if (value.length > 1) throw violation(`bad ${tag}`);
      return nothing;
    default:
      // SECURITY: `remap` runs a program of the sender's (a 110-byte one kills the process); streams and blobs are
      // unbounded; both stay off.
      throw violation("unknown or disabled expression");
  }
}

/** `["pipeline", id, path]`: a path is names and indices, no longer than calls may be pipelined on each other. */
function checkReference([tag, id, path = []]: unknown[], { pipelineDepthMax }: Limits): void {
  if (!isId(id)) throw violation(`${tag} takes an id`);
  if (!Array.isArray(path)) throw violation(`${tag} takes a path`);
  if (path.length > pipelineDepthMax) throw exhausted(`a path of more than ${pipelineDepthMax} names`);
  if (!path.every((part) => typeof part === "string" || typeof part === "number")) throw violation("bad path");
}

function propertiesOfError([, name, message, , properties]: unknown[]): readonly unknown[] {
  if (typeof name !== "string" || typeof message !== "string") throw violation("bad error");
  if (properties === undefined) return nothing;
  if (properties === null || typeof properties !== "object" || Array.isArray(properties)) throw violation("bad error");
  return Object.values(properties);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isResultId(value: unknown): value is number {
  return isId(value) && value > 0;
}

export function violation(what: string): FlotillaError {
  return new FlotillaError("invalid_argument", `Malformed message: ${what}`, { reason: "protocol_violation" });
}

/** For a session whose peer does not read what it is sent. */
export function slowReader(): FlotillaError {
  return new FlotillaError("resource_exhausted", "The peer does not read what it asked for", { reason: "slow_reader" });
}

export function exhausted(what: string): FlotillaError {
  return new FlotillaError("resource_exhausted", `Refused: ${what}`, { reason: "protocol_limit", retryable: false });
}
