import { type DestinationStream, destination, type Logger, pino } from "pino";

export type Log = Logger;

/** What waits for who reads the log; beyond it lines are dropped and counted, for nobody may stop the service so. */
const waitingBytesMax = 1024 * 1024;

/** Where the log goes. Never waits for its reader. */
export interface LogSink {
  readonly stream: DestinationStream;
  /** Lines that were dropped so far. */
  readonly dropped: number;
}

/** @param descriptor an open file; default: stderr. */
export function openLogSink(descriptor = 2): LogSink {
  const stream = destination({ dest: descriptor, sync: false, maxLength: waitingBytesMax });
  let dropped = 0;
  stream.on("drop", () => {
    dropped += 1;
  });
  // A pipe that nobody reads any more: the service outlives its reader.
  stream.on("error", () => {
    dropped += 1;
  });
  return {
    stream,
    get dropped() {
      return dropped;
    },
  };
}

/** One JSON line per event on stderr, at most 2 KB of any one text. Nothing a caller sent is logged but its trace id. */
export function makeLog(service: string, level: string, to: DestinationStream = openLogSink().stream): Log {
  return pino(
    {
      level,
      base: { service },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      serializers: { err: describeError },
      formatters: { level: (label) => ({ level: label }) },
    },
    to,
  );
}

/** Together they keep a line below 2 KB: a peer may have had a hand in the text of an error. Characters. */
const messageCharsMax = 400;
const stackCharsMax = 800;
const causeCharsMax = 200;

/** What an operator needs of an error, and no property that a driver or a peer put on it. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error).slice(0, messageCharsMax) };
  const { name, message, stack, cause } = error;
  return {
    name,
    message: message.slice(0, messageCharsMax),
    stack: stack?.slice(0, stackCharsMax),
    ...(cause instanceof Error && { cause: { name: cause.name, message: cause.message.slice(0, causeCharsMax) } }),
  };
}
