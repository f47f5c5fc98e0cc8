import { type DestinationStream, destination, type Logger, pino } from "pino";

export type Log = Logger;

/** One JSON line per event on stderr, at most 2 KB of any one text. Nothing a caller sent is logged but its trace id. */
export function makeLog(
  service: string,
  level: string,
  to: DestinationStream = destination({ dest: 2, sync: false }),
): Log {
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

const textCharsMax = 2_000;

/** What an operator needs of an error, and no property that a driver or a peer put on it. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error).slice(0, textCharsMax) };
  const { name, message, stack, cause } = error;
  return {
    name,
    message: message.slice(0, textCharsMax),
    stack: stack?.slice(0, textCharsMax),
    ...(cause instanceof Error && { cause: { name: cause.name, message: cause.message.slice(0, textCharsMax) } }),
  };
}
